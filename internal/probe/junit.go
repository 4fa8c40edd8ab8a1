package probe

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// The elements of a JUnit report, as far as CI systems agree on them (https://github.com/testmoapp/junitxml).
type (
	junitSuite struct {
		XMLName   xml.Name    `xml:"testsuite"`
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr,omitempty"`
		Line    int           `xml:"line,attr,omitempty"`
		Time    string        `xml:"time,attr"`
		Failure *junitProblem `xml:"failure,omitempty"`
		Error   *junitProblem `xml:"error,omitempty"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit writes results as a JUnit report: a failure is a check that showed something else than it was to show, an error one
// that could not be carried out.
func JUnit(w io.Writer, lab string, began time.Time, results []Result) error {
	suite := junitSuite{Name: lab, Tests: len(results), Timestamp: began.UTC().Format("2006-01-02T15:04:05"), Time: seconds(time.Since(began).Seconds())}
	for _, r := range results {
		c := junitCase{
			Name: r.Check.String(), Class: lab + "." + r.Kind, File: r.Pos.File, Line: r.Pos.Line,
			Time: seconds(r.Took), Output: r.Subject + ": " + r.Detail,
		}
		var text strings.Builder
		Style{}.Write(&text, r)
		switch {
		case r.Pass:
		case r.Error != "":
			suite.Errors++
			c.Error = &junitProblem{Message: r.Error, Type: r.Kind, Text: text.String()}
		default:
			suite.Failures++
			c.Failure = &junitProblem{Message: fmt.Sprintf("expected %s, got %s", r.Expect, r.Got), Type: r.Kind, Text: text.String()}
		}
		suite.Cases = append(suite.Cases, c)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(suite); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func seconds(s float64) string { return fmt.Sprintf("%.3f", s) }
