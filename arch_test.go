package labctl

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The limits are what separates code bases that stay easy to change from those that do not. Where one of them makes the
// code worse, raise it here for that place and write why.
const (
	maxFile      = 400
	maxFunction  = 60
	maxTest      = 100 // a function of a test, which is often a table
	maxInterface = 4
	maxPackage   = 1800
)

const module = "github.com/labctl/labctl"

// exceptions raise a limit for one file, function or package.
var exceptions = map[string]int{
	// One small file a command, of which none knows another: parted further they would be packages of one file each.
	"cmd/labctl": 3700,
	// Text, stream and document are made of one structure, whose inner parts would have to be exported to part them.
	"internal/view": 2000,
}

// A room is a folder and what its packages may import of this module, folders included that are below.
type room struct {
	folder string
	may    []string
	reason string
}

// The first room that a folder is in counts.
var rooms = []room{
	{"cmd/labctl", []string{"*"}, "it wires everything together"},
	{
		"cmd/labctl-guest",
		[]string{"schema", "internal/guest", "internal/helper", "internal/host", "internal/probe/inside"},
		"the helper goes into guests of a few megabytes and must build without cgo",
	},
	{"schema/config", []string{"schema"}, "the language knows no provider's interface"},
	{"schema", []string{"schema"}, "the language knows neither providers nor the engine"},
	{"provider/providertest", []string{"provider", "schema"}, "one suite for every provider, so it knows none"},
	{
		"provider/libvirt",
		[]string{"provider", "schema", "internal/host", "internal/kvm", "internal/seed", "provider/libvirt"},
		"a provider knows one live system, and no other provider",
	},
	{"provider/netplan", []string{"provider", "schema", "internal/host", "provider/netplan"}, "a provider knows one live system, and no other provider"},
	{"provider/nftables", []string{"provider", "schema", "internal/host", "internal/nft", "provider/nftables"}, "a provider knows one live system, and no other provider"},
	{"provider/sysctl", []string{"provider", "schema", "internal/host"}, "a provider knows one live system, and no other provider"},
	{"provider/guest", []string{"provider", "schema", "internal/host", "internal/helper", "internal/nft", "provider/guest"}, "a provider knows one live system, and no other provider"},
	{"provider/image", []string{"provider", "schema", "internal/host", "provider/image"}, "a provider knows one live system, and no other provider"},
	{"provider/memory", []string{"provider", "schema"}, "the fake does no input or output"},
	{"provider", []string{"schema"}, "the contract stands above those who fulfil it"},
	{"internal/host", nil, "it reaches machines and knows nothing of labs"},
	{"internal/nft", []string{"internal/host"}, "rules are nft's alone, on a host as in a guest"},
	{"internal/helper", []string{"schema", "internal/nft"}, "the helper's protocol goes into small guests"},
	{
		"internal/guest",
		[]string{"schema", "internal/host", "internal/nft", "internal/helper", "internal/natflow", "internal/guest"},
		"it goes into small guests, and a guest knows nothing of plans",
	},
	{"internal/sandbox", []string{"internal/host"}, "a throwaway host knows nothing of labs"},
	{"internal/session", []string{"*"}, "it wires hosts, providers and the engine together for the commands"},
	{"internal/drawing", []string{"schema"}, "it draws what the files say"},
	{"internal/lsp", []string{"schema"}, "an editor is told what the files say; it reaches no host"},
	{"internal/osinfo", []string{"schema"}, "it reads a database of systems, and knows no lab"},
	{"internal/format", []string{"schema"}, "formatting knows the language alone"},
	{"internal/doctor", []string{"internal/host"}, "it asks the machine, not the lab"},
	{"internal/argv", nil, "it reads words, and knows nothing of labs"},
	{"internal/console", nil, "it joins two streams, and knows nothing of labs"},
	{"internal/parcel", []string{"provider", "schema", "internal/plan", "internal/view"}, "it is data about a lab, and reaches no host"},
	{"internal/courier", []string{"internal/host"}, "it carries a command elsewhere, and knows nothing of labs"},
	{"internal/kvm", []string{"internal/host"}, "it asks the machine, not the lab"},
	{"internal/inspect", []string{"internal/nft", "internal/natflow"}, "it writes what it is given, and asks nobody"},
	{"internal/grid", []string{"internal/probe"}, "it draws results, and gets none"},
	{"internal/capture", nil, "it reads packets, and knows nothing of labs"},
	{"internal/probe", []string{"schema", "internal/host", "internal/inspect", "internal/probe", "internal/helper", "internal/nft", "internal/natflow", "internal/natprobe"}, "checks are run against live guests, whatever the engine did"},
	{"internal/natprobe", []string{"schema"}, "it sends packets on sockets that it is given, in guests as in tests"},
	{"internal/natflow", []string{"schema"}, "it goes into small guests and knows one kernel table"},
	{"internal/view", []string{"provider", "schema", "internal/plan", "internal/probe"}, "it renders what it is given and runs nothing"},
	{"internal/graph", []string{"schema"}, "a graph of addresses knows no plan"},
	{"internal/plan", []string{"provider", "schema", "internal/graph"}, "a plan is data"},
	{
		"internal/engine",
		[]string{"provider", "schema", "internal/graph", "internal/plan", "internal/lock"},
		"the engine works through the contract alone, so that it runs on the fake as on the real",
	},
}

// bans name imports from outside the module that only some folders may have.
var bans = []struct {
	prefix string
	may    []string
	reason string
}{
	{"os/exec", []string{"internal/host"}, "processes are started in one place, so that every provider works over ssh and in guests"},
	{"github.com/hashicorp/hcl", []string{"schema", "cmd/labctl", "internal/session", "internal/format", "internal/lsp"}, "only the language knows HCL"},
	{"github.com/zclconf/go-cty", []string{"schema", "cmd/labctl", "internal/lsp"}, "cty values end where resources begin"},
	{"libvirt.org/go/libvirt", []string{"provider/libvirt", "cmd/labctl"}, "one package speaks to libvirt"},
	{"github.com/spf13/cobra", []string{"cmd", "internal/argv"}, "commands are made at the edge"},
	{"unsafe", []string{"internal/guest/disk"}, "nothing needs it but a call of the kernel that no library makes"},
}

func TestImports(t *testing.T) {
	for _, f := range sources(t) {
		if f.test {
			continue
		}
		for _, imported := range f.imports() {
			if inside, ok := strings.CutPrefix(imported, module+"/"); ok {
				checkRoom(t, f, inside)
				continue
			}
			for _, ban := range bans {
				if (imported == ban.prefix || strings.HasPrefix(imported, ban.prefix+"/")) && !within(f.folder, ban.may) {
					t.Errorf("%s imports %s: %s", f.path, imported, ban.reason)
				}
			}
		}
	}
}

func checkRoom(t *testing.T, f source, imported string) {
	t.Helper()
	for _, r := range rooms {
		if !within(f.folder, []string{r.folder}) {
			continue
		}
		if !slices.Contains(r.may, "*") && !within(imported, r.may) {
			t.Errorf("%s imports %s: %s", f.path, imported, r.reason)
		}
		return
	}
}

// within reports whether folder is one of roots or below one. A provider's root stands for itself and not for the
// providers below it.
func within(folder string, roots []string) bool {
	for _, root := range roots {
		if folder == root || root != "provider" && strings.HasPrefix(folder, root+"/") {
			return true
		}
	}
	return false
}

func TestSizes(t *testing.T) {
	lines := map[string]int{}
	for _, f := range sources(t) {
		limit(t, f.path, "lines", f.lines, maxFile)
		for _, decl := range f.ast.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if ok && fn.Body != nil {
				n := f.set.Position(fn.End()).Line - f.set.Position(fn.Pos()).Line + 1
				most := maxFunction
				if f.test {
					most = maxTest
				}
				limit(t, f.path+":"+fn.Name.Name, "lines", n, most)
			}
		}
		ast.Inspect(f.ast, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if i, ok := spec.Type.(*ast.InterfaceType); ok {
					limit(t, f.path+":"+spec.Name.Name, "methods", i.Methods.NumFields(), maxInterface)
				}
			}
			return true
		})
		if !f.test {
			lines[f.folder] += f.lines
		}
	}
	for folder, n := range lines {
		limit(t, folder, "lines in all", n, maxPackage)
	}
}

func limit(t *testing.T, what, unit string, n, most int) {
	t.Helper()
	if raised, ok := exceptions[what]; ok {
		most = raised
	}
	if n > most {
		t.Errorf("%s has %d %s; at most %d", what, n, unit, most)
	}
}

func TestNoInitFunctions(t *testing.T) {
	for _, f := range sources(t) {
		for _, decl := range f.ast.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
				t.Errorf("%s has an init function: what is registered is registered in one list, where it can be read", f.path)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	for _, f := range sources(t) {
		if !f.test {
			said[f.folder] = said[f.folder] || f.ast.Doc != nil
		}
	}
	for folder, ok := range said {
		if !ok {
			t.Errorf("%s has no package comment", folder)
		}
	}
}

func TestPackageNames(t *testing.T) {
	for _, f := range sources(t) {
		switch name := f.ast.Name.Name; name {
		case "util", "utils", "common", "types", "helpers", "misc", "models":
			t.Errorf("%s is in package %s, a name that says nothing", f.path, name)
		}
	}
}

// TestNoMutablePackageState refuses assignments to a package's variables, and locks and counters among them: state belongs
// to a value, of which a test can have several.
func TestNoMutablePackageState(t *testing.T) {
	packages := map[string][]source{}
	for _, f := range sources(t) {
		if !f.test {
			packages[f.folder] = append(packages[f.folder], f)
		}
	}
	for _, files := range packages {
		vars := map[string]bool{}
		for _, f := range files {
			for _, spec := range packageVars(f.ast) {
				for _, name := range spec.Names {
					vars[name.Name] = true
				}
				if selector, ok := spec.Type.(*ast.SelectorExpr); ok {
					if from, ok := selector.X.(*ast.Ident); ok && (from.Name == "sync" || from.Name == "atomic") {
						t.Errorf("%s: %s is a package-wide %s.%s", f.path, spec.Names[0].Name, from.Name, selector.Sel.Name)
					}
				}
			}
		}
		for _, f := range files {
			for _, name := range assigned(f.ast) {
				if vars[name.Name] && !isLocal(name) {
					t.Errorf("%s: the package's variable %s is assigned to", f.set.Position(name.Pos()), name.Name)
				}
			}
		}
	}
}

func packageVars(f *ast.File) (specs []*ast.ValueSpec) {
	for _, decl := range f.Decls {
		gen, ok := decl.(*ast.GenDecl)
		if !ok || gen.Tok != token.VAR {
			continue
		}
		for _, spec := range gen.Specs {
			specs = append(specs, spec.(*ast.ValueSpec))
		}
	}
	return specs
}

// assigned lists the variables that statements of f assign to, or to an element or field of.
func assigned(f *ast.File) (names []*ast.Ident) {
	root := func(e ast.Expr) {
		for {
			switch x := e.(type) {
			case *ast.IndexExpr:
				e = x.X
			case *ast.SelectorExpr:
				e = x.X
			case *ast.StarExpr:
				e = x.X
			case *ast.Ident:
				names = append(names, x)
				return
			default:
				return
			}
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		switch s := n.(type) {
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				for _, e := range s.Lhs {
					root(e)
				}
			}
		case *ast.IncDecStmt:
			root(s.X)
		}
		return true
	})
	return names
}

// isLocal reports whether the parser found the variable's declaration inside a function.
func isLocal(name *ast.Ident) bool {
	if name.Obj == nil {
		return false
	}
	switch name.Obj.Decl.(type) {
	case *ast.ValueSpec:
		return false // inside a function too, where then another name is as easy
	}
	return true
}

// source is one Go file of the module.
type source struct {
	path, folder string
	test         bool
	lines        int
	set          *token.FileSet
	ast          *ast.File
}

func (s source) imports() (paths []string) {
	for _, spec := range s.ast.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err == nil {
			paths = append(paths, imported)
		}
	}
	return paths
}

func sources(t *testing.T) (files []source) {
	t.Helper()
	set := token.NewFileSet()
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && file != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata" || entry.Name() == "bin") {
			return filepath.SkipDir
		}
		if entry.IsDir() || path.Ext(file) != ".go" {
			return nil
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(set, file, text, parser.ParseComments)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		files = append(files, source{
			path: filepath.ToSlash(file), folder: path.Dir(filepath.ToSlash(file)), test: strings.HasSuffix(file, "_test.go"),
			lines: strings.Count(string(text), "\n"), set: set, ast: parsed,
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d Go files were found, so these tests would prove nothing", len(files))
	}
	return files
}
