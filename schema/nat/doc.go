// Package nat compiles a router's declared address translation to nftables.
//
// The vocabulary is that of RFC 4787 (UDP) and RFC 5382 (TCP): a NAT is its mapping behaviour, its filtering behaviour
// and how it picks outside ports. The four classic types of RFC 3489 are names for pairs of these; Resolve fills in what
// a type stands for, Problems says what does not fit together, and Compile writes the rules. It is pure: nothing here
// talks to a kernel.
//
// How it works in nftables. The kernel's own masquerade keeps a source port where it can, so it maps independently of
// the endpoint until two inside hosts use one source port, and it filters by address and port, because only a
// connection's own replies pass. Every other behaviour needs memory beside conntrack: the map "mapped" (inside endpoint
// to outside port) makes later connections reuse a mapping, the map "endpoints" (outside port to inside endpoint)
// lets peers in, and the set "peers" holds the addresses that a mapping has sent to. The chain "learn" fills them from
// conntrack after the source was translated.
package nat
