package schema

// Sysctl is the kernel settings of a host that the lab owns: key in dotted form, value as the kernel prints it.
type Sysctl struct {
	Values map[string]string `json:"values"`
}

// Ruleset is nftables rules in nft's own syntax, as nft(8) loads them with `nft -f`. It holds no `flush ruleset`.
// On a host the lab owns the tables that it defines; in a guest it is the whole ruleset.
type Ruleset struct {
	Text string `json:"text"`
	// Lines tells where each line of Text comes from, so that nft's complaint about line N is shown at the lab's
	// own line: Lines[N-1], a zero Pos for lines that labctl wrote.
	Lines []Pos `json:"lines,omitempty"`
}
