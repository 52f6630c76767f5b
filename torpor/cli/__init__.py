"""The `torpor` command. Each subcommand is a module; the ones that talk to the API do it through `torpor.kube`."""
