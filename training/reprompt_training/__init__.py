"""How `models/demo` was made: scenes, tokenizer, VAE, UNet and text encoder, export, evaluation. See `../README.md`."""
