"""Chats: who may begin one, the bytes of each, and its events on their way into the journal."""
