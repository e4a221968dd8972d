"""The documentation. MkDocs reads the pages; `generate` makes what nobody types."""
