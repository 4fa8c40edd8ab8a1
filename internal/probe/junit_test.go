package probe_test

import (
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"github.com/labctl/labctl/internal/probe"
	"github.com/labctl/labctl/schema"
)

func TestJUnit(t *testing.T) {
	results := []probe.Result{
		{Check: addr(t, "check.good"), Kind: "ping", Subject: "ping", Pass: true, Took: 0.25},
		{Check: addr(t, "check.bad"), Kind: "tcp", Expect: "open", Got: "filtered <&>", Pos: schema.Pos{File: "lab.hcl", Line: 3}},
		{Check: addr(t, "check.ill"), Kind: "nat", Error: "no answer"},
	}
	var out strings.Builder
	if err := probe.JUnit(&out, "mylab", time.Now(), results); err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Errors   int    `xml:"errors,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Time    string `xml:"time,attr"`
			Line    int    `xml:"line,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
				Text    string `xml:",chardata"`
			} `xml:"failure"`
			Error *struct{} `xml:"error"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal([]byte(out.String()), &suite); err != nil {
		t.Fatalf("%v:\n%s", err, out.String())
	}
	if suite.Name != "mylab" || suite.Tests != 3 || suite.Failures != 1 || suite.Errors != 1 || len(suite.Cases) != 3 {
		t.Fatalf("got %+v", suite)
	}
	good, bad, ill := suite.Cases[0], suite.Cases[1], suite.Cases[2]
	if good.Time != "0.250" || good.Failure != nil || good.Error != nil || ill.Error == nil || ill.Failure != nil {
		t.Errorf("got %+v and %+v", good, ill)
	}
	if bad.Line != 3 || bad.Failure == nil || bad.Failure.Message != "expected open, got filtered <&>" || !strings.Contains(bad.Failure.Text, "✗ check.bad") {
		t.Errorf("got %+v", bad)
	}
}
