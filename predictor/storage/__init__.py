"""Where models lie: one URI scheme per file. The only importer of cloud SDKs."""
