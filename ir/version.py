"""The version of neutrams: for its manifests, its models and its command line."""

VERSION = "0.1.0"
