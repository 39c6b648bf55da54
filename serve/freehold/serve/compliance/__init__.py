"""What a compliance officer asks for: what is served, from what, evaluated how, under which licence and policy."""
