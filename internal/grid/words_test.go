package grid

import (
	"strings"
	"testing"
)

func TestAxesAreSpelledOut(t *testing.T) {
	words := SpellOut([]string{"test", "--grid=a=local.x", "--json=true", "--grid=b=local.y", "--", "--grid=c"}, []Axis{
		{Variable: "a", Values: []string{"one", `t"w${o}`}}, {Variable: "b", Values: []string{"3"}},
	})
	if got, want := strings.Join(words, " "), `test --grid=a=["one","t\"w$${o}"] --json=true --grid=b=["3"] -- --grid=c`; got != want {
		t.Errorf("%s\nnot %s", got, want)
	}
}
