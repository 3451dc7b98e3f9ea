"""Chats: who may start one, its bytes, and its events on their way into the journal."""
