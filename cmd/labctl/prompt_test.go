package main

import "testing"

func TestUnfinished(t *testing.T) {
	for text, want := range map[string]bool{
		"": false, "1 + 1": false, "[1,": true, "[1,\n2]": false, "{": true, "{ a = [": true, "upper(": true, "\"${": false, "[\"a": false, "\"${1}\"": false, "\"%{ if true }": false, "<<EOT": true, "<<EOT\na\nEOT\n": false,
		"]": false, "[\"]\"": true, "[for k, v in x :": true, "# [": false,
	} {
		if got := unfinished(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
