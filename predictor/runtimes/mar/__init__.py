"""TorchServe's archives (.mar), run as they are: unpacked, checked, and with the modules that their handlers import."""
