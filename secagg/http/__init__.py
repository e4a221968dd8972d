"""HTTP for clients and servers, without knowledge of what travels."""
