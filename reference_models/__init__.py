"""Reference networks with their trainers and evidence; independent of `archcheck`, which judges them."""
