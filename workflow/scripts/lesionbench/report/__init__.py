"""What readers see: tables, figures, words and the page that opens the report."""
