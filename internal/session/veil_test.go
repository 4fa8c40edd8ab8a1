package session

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/internal/probe/trail"
)

// A secret is found in each form that programs write text in, and short ones are left alone.
func TestVeil(t *testing.T) {
	const pw = "top \"secret\" <&>\nline\ttwo"
	v := new(veil)
	v.hide([]string{pw, "abc", "longer-than-top", "longer"})
	var asXML bytes.Buffer
	if err := xml.EscapeText(&asXML, []byte(pw)); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(map[string]string{"a": pw})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{pw, string(asJSON), asXML.String(), fmt.Sprintf("%q", pw), "x " + pw + " y"} {
		if got := v.text(text); !strings.Contains(got, hidden) || strings.Contains(got, "secret") {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
	if got := v.text("abc longer-than-top"); got != "abc "+hidden {
		t.Errorf("shown is %q", got)
	}
}

func TestSessionsShowNoSecret(t *testing.T) {
	dir := t.TempDir()
	lab := "lab \"x\" {}\nvariable \"pw\" {\n  sensitive = true\n  default = \"first line\\nsecond line\"\n}\n"
	if err := os.WriteFile(dir+"/lab.hcl", []byte(lab), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := &Options{}
	s := New(o, &out, io.Discard, false)
	if err := s.Load(dir); err != nil {
		t.Fatal(err)
	}
	s.Note("a tool says: second line is wrong\n")
	if got := out.String(); got != "a tool says: "+hidden+" is wrong\n" {
		t.Errorf("written is %q", got)
	}
	if err := o.Veil(ExitError{Code: 7, Err: fmt.Errorf("x: %w", errors.New("first line"))}); err.Error() != "x: "+hidden || err.(ExitError).Code != 7 {
		t.Errorf("the error is %#v", err)
	}
	if err := o.Veil(io.EOF); err != io.EOF { //nolint:errorlint // the very same
		t.Errorf("the error is %#v", err)
	}
	r := probe.Result{Detail: "first line", Why: []string{"second line"}, Explanation: &trail.Explanation{Rules: []string{"a second line"}}}
	s.HideIn(&r)
	if r.Detail != hidden || r.Why[0] != hidden || r.Rules[0] != "a "+hidden {
		t.Errorf("the result is %+v", r)
	}
	if Bare(s.Stdout) != io.Writer(&out) {
		t.Error("the stream behind the veil is not what was given")
	}
}

// Of -var and -var-file that give a variable a value, the later counts.
func TestGivenKeepsOrder(t *testing.T) {
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{Vars: []string{"a=1", "b=2"}, VarFiles: []string{"f", "g"}, VarsAfter: []int{1, 0}}, "a f b g"},
		{Options{Vars: []string{"a=1", "b=2"}, VarFiles: []string{"f"}}, "f a b"},
		{Options{Vars: []string{"old=1", "a=1"}, VarFiles: []string{"old", "f"}, VarsAfter: []int{0}}, "old old a f"},
	} {
		given, err := test.o.given()
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, g := range given {
			names = append(names, g.Name+g.File)
		}
		if d := cmp.Diff(test.want, strings.Join(names, " ")); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
	if _, err := (&Options{Vars: []string{"a"}}).given(); err == nil {
		t.Error("-var a is taken")
	}
}
