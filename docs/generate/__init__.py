"""What makes the parts of the documentation that nobody types: drawings, tables, references, and the site's hooks."""
