"""Distribution matching: what networks make of real and synthetic images agrees on average."""
