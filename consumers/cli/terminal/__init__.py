"""How commands read their options, print data and talk to a person."""
