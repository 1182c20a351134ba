"""The intermediate representation: values, ops, text form, verifier, reference interpreter."""
