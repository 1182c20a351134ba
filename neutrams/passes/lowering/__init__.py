"""Rules by which ``lower-units`` turns quantised float ops into units."""
