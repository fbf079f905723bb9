"""Pure learning: values in, values out."""
