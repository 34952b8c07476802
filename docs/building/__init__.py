"""What builds the site, besides Sphinx and its extensions."""
