package drawing_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/labctl/labctl/internal/drawing"
	"github.com/labctl/labctl/schema"
	"github.com/labctl/labctl/schema/config"
)

func read(t *testing.T, dir string) *schema.Lab {
	t.Helper()
	result, diags := config.Load(dir, config.Options{})
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	return result.Lab
}

func labs(t *testing.T) []string {
	t.Helper()
	examples, err := filepath.Glob("../../examples/*")
	if err != nil || len(examples) < 3 {
		t.Fatalf("examples: %v %v", examples, err)
	}
	return append(examples, "testdata/office")
}

func TestGolden(t *testing.T) {
	for _, dir := range []string{"../../examples/holepunch", "testdata/office"} {
		picture := drawing.New(read(t, dir))
		for form, write := range map[string]func(io.Writer) error{"dot": picture.DOT, "mmd": picture.Mermaid} {
			golden := filepath.Join("testdata", filepath.Base(dir)+"."+form)
			t.Run(filepath.Base(golden), func(t *testing.T) {
				var out bytes.Buffer
				if err := write(&out); err != nil {
					t.Fatal(err)
				}
				if os.Getenv("UPDATE") != "" {
					if err := os.WriteFile(golden, out.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), out.String()); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

// TestSVG parses the drawing of every lab, and looks for all of its machines, interfaces and addresses in its texts.
func TestSVG(t *testing.T) {
	for _, dir := range labs(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			lab := read(t, dir)
			texts := svgTexts(t, drawing.New(lab))
			for _, r := range lab.Resources {
				for _, want := range wanted(r) {
					if !slices.Contains(texts, want) {
						t.Errorf("%s is missing in the drawing: %q", r.Addr, want)
					}
				}
			}
		})
	}
}

func wanted(r schema.Resource) (texts []string) {
	switch body := r.Body.(type) {
	case *schema.Domain:
		name := r.Addr.Name
		if r.Addr.Key != "" {
			name += "[" + strings.Trim(r.Addr.Key, `"`) + "]"
		}
		if r.Addr.Module != "" {
			name = strings.ReplaceAll(strings.ReplaceAll(r.Addr.Module, "module.", ""), `"`, "") + "." + name
		}
		texts = append(texts, name)
	case *schema.Guest:
		for _, i := range body.Interfaces {
			texts = append(append(texts, i.Name), i.Addresses...)
		}
	}
	return texts
}

func svgTexts(t *testing.T, picture *drawing.Picture) (texts []string) {
	t.Helper()
	var out bytes.Buffer
	if err := picture.SVG(&out); err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(&out); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return texts
		}
		if err != nil {
			t.Fatal(err)
		}
		if text, ok := token.(xml.CharData); ok {
			texts = append(texts, string(text))
		}
	}
}

// TestHostileText draws names with what is special in each of the languages.
func TestHostileText(t *testing.T) {
	hostile := `a "b" <c> & \d #e` + "\n;]"
	lab := &schema.Lab{Name: hostile, Hosts: []schema.Host{{}}, Resources: []schema.Resource{
		{Addr: schema.Addr{Kind: "bridge", Name: "br0"}, Body: &schema.Bridge{Name: hostile, DHCP4: true}},
		{Addr: schema.Addr{Kind: "vm", Name: hostile}, Body: &schema.Domain{Interfaces: []schema.NIC{{Name: hostile, Bridge: hostile}}}},
	}}
	picture := drawing.New(lab)
	if texts := svgTexts(t, picture); !slices.Contains(texts, hostile) {
		t.Errorf("the name is not in the SVG: %q", texts)
	}
	for name, write := range map[string]func(io.Writer) error{"dot": picture.DOT, "mermaid": picture.Mermaid} {
		var out bytes.Buffer
		if err := write(&out); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			quotes := strings.Count(strings.NewReplacer(`\\`, "", `\"`, "").Replace(line), `"`)
			if quotes%2 != 0 {
				t.Errorf("%s: a text is not closed: %s", name, line)
			}
		}
	}
}

// TestBoxesDoNotOverlap draws labs of many shapes and demands that no two boxes share a pixel.
func TestBoxesDoNotOverlap(t *testing.T) {
	for machines := range 12 {
		lab := &schema.Lab{Name: "shapes", Hosts: []schema.Host{{}}}
		for i := range 5 {
			name := fmt.Sprintf("br%d", i)
			lab.Resources = append(lab.Resources, schema.Resource{Addr: schema.Addr{Kind: "bridge", Name: name}, Body: &schema.Bridge{Name: name, DHCP4: i%2 == 0}})
		}
		for i := range machines {
			domain := &schema.Domain{}
			for n := range i % 4 {
				domain.Interfaces = append(domain.Interfaces, schema.NIC{Name: fmt.Sprintf("eth%d", n), Bridge: fmt.Sprintf("br%d", (i*3+n*n)%5)})
			}
			lab.Resources = append(lab.Resources, schema.Resource{Addr: schema.Addr{Kind: "vm", Name: fmt.Sprintf("vm%d", i)}, Body: domain})
		}
		var out bytes.Buffer
		if err := drawing.New(lab).SVG(&out); err != nil {
			t.Fatal(err)
		}
		checkBoxes(t, out.Bytes())
	}
}

func checkBoxes(t *testing.T, text []byte) {
	t.Helper()
	type rect struct {
		X     int    `xml:"x,attr"`
		Y     int    `xml:"y,attr"`
		W     int    `xml:"width,attr"`
		H     int    `xml:"height,attr"`
		Class string `xml:"class,attr"`
	}
	var document struct {
		Width  int    `xml:"width,attr"`
		Height int    `xml:"height,attr"`
		Rects  []rect `xml:"rect"`
	}
	if err := xml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	rects := slices.DeleteFunc(document.Rects, func(r rect) bool { return r.Class == "" })
	for i, a := range rects {
		if a.X < 0 || a.Y < 0 || a.X+a.W > document.Width || a.Y+a.H > document.Height {
			t.Errorf("%+v is outside of the picture", a)
		}
		for _, b := range rects[:i] {
			if a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H {
				t.Errorf("%+v and %+v overlap", a, b)
			}
		}
	}
}
