"""Tables that follow the events, written in the same transaction: tasks, chats, addresses, history."""
