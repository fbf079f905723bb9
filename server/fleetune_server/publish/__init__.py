"""From a model to every open page: signed, packed, distributed."""
