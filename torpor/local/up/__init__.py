"""`torpor up`: one process tree that starts the laptop's services, keeps them, and takes all of them down."""
