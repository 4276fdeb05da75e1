"""Generated from protos/nevus/v1 by protos/generate.sh; not edited by hand."""
