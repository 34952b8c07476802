"""What makes the site, beside Sphinx and its extensions."""
