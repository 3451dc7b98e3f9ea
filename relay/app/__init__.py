"""The one place that builds, starts and stops the parts.

Nothing is imported here: who asks for the plug-ins alone does not wait until all of relay is loaded.
"""
