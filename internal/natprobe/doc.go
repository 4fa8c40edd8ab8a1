// Package natprobe finds out what a NAT really does, by the packets that pass it.
//
// It has both ends: a STUN server with two addresses and two ports (RFC 5389, RFC 5780) with the client that classifies
// mapping, filtering, port assignment and hairpin by it; and hole punching for UDP and TCP (RFC 5128) with the
// rendezvous server that tells two peers each other's outside endpoints. Everything works on sockets that the caller
// opened, so the same code runs inside a guest and in a test's network namespace.
package natprobe
