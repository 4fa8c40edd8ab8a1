package helper_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/helper"
	"github.com/labctl/labctl/schema"
)

func TestBuildIDIsGos(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	id, err := helper.BuildID(f)
	if err != nil || strings.Count(id, "/") != 3 || len(id) < 40 {
		t.Errorf("%q, %v", id, err)
	}
	if id, err := helper.BuildID(strings.NewReader("#!/bin/sh\n")); err == nil {
		t.Errorf("a script has ID %q", id)
	}
}

func TestRequestOfAnotherProtocolIsReadAsFarAsItsVersion(t *testing.T) {
	r, err := helper.DecodeRequest([]byte(`{"protocol": 9, "guest": "a string in the future"}`))
	if err != nil || r.Protocol != 9 {
		t.Errorf("%+v, %v", r, err)
	}
	a, err := helper.DecodeResponse([]byte(`{"protocol": 9, "build": "b", "rules": "many"}`))
	if err != nil || a.Protocol != 9 || a.Build != "b" {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestBadMessagesAreRefused(t *testing.T) {
	for _, text := range []string{"", " \n", "{", "[]", `{"protocol":1}`, `{"protocol":1,"guest":{"interface":3}}`, strings.Repeat(" ", helper.MaxMessage+1)} {
		if r, err := helper.DecodeRequest([]byte(text)); err == nil {
			t.Errorf("%.20q was taken for %+v", text, r)
		}
	}
}

func TestEssenceLeavesOutWhatMeansNothingInside(t *testing.T) {
	g := &schema.Guest{
		Domain: "d", AgentTimeout: 3, Packages: []string{"p"}, UserData: "u", SSH: &schema.SSH{User: "x"}, Hostname: "h",
		Ruleset: &schema.Ruleset{Text: "t", Lines: []schema.Pos{{File: "f", Line: 1}}}, NAT: &schema.NAT{Type: "symmetric"},
	}
	want := &schema.Guest{Hostname: "h", Ruleset: &schema.Ruleset{Text: "t"}, NAT: &schema.NAT{Type: "symmetric"}}
	if diff := cmp.Diff(want, helper.Essence(g)); diff != "" {
		t.Error(diff)
	}
	if g.Ruleset.Lines == nil || g.Domain == "" {
		t.Error("it changed what it was given")
	}
}

func FuzzDecode(f *testing.F) {
	var request bytes.Buffer
	if err := helper.Encode(&request, helper.Request{Protocol: helper.Protocol, Mark: "m", Guest: &schema.Guest{Hostname: "h"}}); err != nil {
		f.Fatal(err)
	}
	f.Add(request.Bytes())
	f.Add([]byte(`{"protocol":1,"guest":{"interface":[{"name":"eth0"}]},"problems":[{"code":"refused","lines":[{"line":1}]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, again := range []func([]byte) (any, error){
			func(b []byte) (any, error) { r, err := helper.DecodeRequest(b); return r, err },
			func(b []byte) (any, error) { r, err := helper.DecodeResponse(b); return r, err },
		} {
			message, err := again(data)
			if err != nil {
				continue
			}
			var text bytes.Buffer
			if err := helper.Encode(&text, message); err != nil {
				t.Fatal(err)
			}
			if _, err := again(text.Bytes()); err != nil && !strings.Contains(err.Error(), "no guest") {
				t.Fatalf("what was read cannot be read again: %v", err)
			}
		}
	})
}

func FuzzBuildID(f *testing.F) {
	self, err := os.Executable()
	if err != nil {
		f.Fatal(err)
	}
	head := make([]byte, 8192)
	program, err := os.Open(self)
	if err != nil {
		f.Fatal(err)
	}
	defer program.Close()
	if _, err := program.Read(head); err != nil {
		f.Fatal(err)
	}
	f.Add(head)
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = helper.BuildID(bytes.NewReader(data)) // it must only not fall over
	})
}
