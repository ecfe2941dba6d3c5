"""The fast path for models of the Llama pattern: the same mathematics as transformers', written out for speed."""
