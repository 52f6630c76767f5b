"""One framework per file. The only importer of model libraries."""
