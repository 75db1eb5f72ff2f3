// Package cmd_test holds the rules of the house that no compiler knows: which
// package may import which, that each program's options are those of its
// manual page, that each cause has its entry, and what must not be written
// anywhere. Each rule that judges code has a test beside it that plants what
// it must refuse.
package cmd_test

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pi-key-tools/pkg/cause"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshtest"
)

const (
	root   = ".." // of the module, from this directory
	module = "pi-key-tools/"
)

var programs = []string{"pikeygen", "pikeycopy", "pikeyfix", "pikeycheck"}

// floors says how high each package stands. A package may import only what
// stands lower: nothing on its own floor, so that data flows down and its
// answer comes straight back up.
var floors = map[string]int{
	"pkg/record":         0,
	"pkg/cause":          0,
	"pkg/sshkey":         0,
	"pkg/pattern":        0,
	"pkg/sh":             0,
	"pkg/unixpath":       0,
	"pkg/confline":       0,
	"pkg/firstboot":      0,
	"pkg/destination":    1, // a host list may hold records
	"pkg/authorizedkeys": 1,
	"pkg/knownhosts":     1,
	"pkg/strictmodes":    1,
	"pkg/sshdlog":        1,
	"pkg/sshdconfig":     1,
	"pkg/bounded":        2,
	"pkg/mdns":           2,
	"pkg/hostfs":         3,
	"pkg/secret":         3,
	"pkg/logfile":        3,
	"pkg/session":        4,
	"pkg/identity":       4,
	"pkg/sshconfig":      4,
	"pkg/connect":        5,
	"pkg/fleet":          5,
	"pkg/diagnose":       6,
	"pkg/install":        7,
	"pkg/repair":         7,
	"pkg/cli":            8,
	"pkg/cli/targets":    9,
	"cmd/pikeygen":       10,
	"cmd/pikeycopy":      10,
	"cmd/pikeyfix":       10,
	"cmd/pikeycheck":     10,
}

// forTests is for tests and for the programs in scripts: it may import what it
// likes, and nothing that is built into the four programs may import it.
const forTests = "pkg/sshtest"

// misplaced says what is wrong with a file of package pkg that imports imp, or
// "". Both are import paths; those of this module are without its name.
func misplaced(pkg, imp string) string {
	own, ok := floors[pkg]
	if !ok {
		if pkg == forTests || strings.HasPrefix(pkg, "scripts/") {
			return ""
		}
		return "is on no floor: give it one in house_test.go"
	}
	if inner, ok := strings.CutPrefix(imp, module); ok {
		floor, known := floors[inner]
		switch {
		case inner == forTests:
			return "imports " + inner + ", which is for tests"
		case !known:
			return "imports " + inner + ", which is on no floor"
		case floor >= own:
			return fmt.Sprintf("on floor %d imports %s on floor %d: imports only go down", own, inner, floor)
		case pkg == "pkg/cli" && inner != "pkg/record":
			return "imports " + inner + ": cli knows nothing of SSH"
		}
		return ""
	}
	switch {
	case imp == "flag" || imp == "github.com/spf13/pflag":
		if own < floors["pkg/cli"] {
			return "imports " + imp + ": options are read in cmd and cli"
		}
	case imp == "golang.org/x/crypto/ssh" || strings.HasPrefix(imp, "golang.org/x/crypto/ssh/"):
		if own <= 1 || pkg == "pkg/cli" {
			return "imports " + imp + " on a floor that does not know of connections"
		}
	case imp == "net/netip": // addresses, as values
	case imp == "os", strings.HasPrefix(imp, "os/"), imp == "net", strings.HasPrefix(imp, "net/"),
		imp == "time", imp == "log", strings.HasPrefix(imp, "log/"), imp == "syscall":
		if own <= 1 {
			return "imports " + imp + ": floors 0 and 1 only think"
		}
	}
	return ""
}

func TestFloors(t *testing.T) {
	seen := make(map[string]bool)
	for name, file := range goFiles(t) {
		pkg := path.Dir(name)
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		seen[pkg] = true
		for _, imp := range append(imports(file), "") { // "": the floor is asked for in any case
			if wrong := misplaced(pkg, imp); wrong != "" {
				t.Errorf("%s: %s %s", name, pkg, wrong)
			}
		}
	}
	if len(seen) < len(programs) {
		t.Errorf("only %d packages were found", len(seen))
	}
}

func TestFloorsRefuse(t *testing.T) {
	for _, c := range []struct{ pkg, imp string }{
		{"pkg/record", module + "pkg/cause"},          // sideways
		{"pkg/strictmodes", module + "pkg/hostfs"},    // up
		{"pkg/session", module + "pkg/session"},       // itself
		{"pkg/install", module + "pkg/repair"},        // sideways
		{"pkg/install", module + "pkg/cli"},           // up
		{"pkg/cli", module + "pkg/destination"},       // knows of SSH
		{"pkg/cli/targets", module + "cmd/pikeygen"},  // up
		{"cmd/pikeyfix", module + "pkg/sshtest"},      // for tests
		{"pkg/repair", module + "pkg/nowhere"},        // unknown
		{"pkg/nowhere", "strings"},                    // unknown
		{"pkg/sshkey", "os"},                          //
		{"pkg/sshkey", "net/url"},                     //
		{"pkg/knownhosts", "time"},                    //
		{"pkg/authorizedkeys", "log/slog"},            //
		{"pkg/knownhosts", "golang.org/x/crypto/ssh"}, //
		{"pkg/cli", "golang.org/x/crypto/ssh/agent"},  //
		{"pkg/fleet", "github.com/spf13/pflag"},       //
		{"pkg/identity", "flag"},                      //
	} {
		if misplaced(c.pkg, c.imp) == "" {
			t.Errorf("%s may import %s", c.pkg, c.imp)
		}
	}
	for _, c := range []struct{ pkg, imp string }{
		{"pkg/hostfs", module + "pkg/strictmodes"},
		{"pkg/session", "golang.org/x/crypto/ssh"},
		{"pkg/cli", module + "pkg/record"},
		{"cmd/pikeygen", "github.com/spf13/pflag"},
		{"pkg/sshkey", "crypto/sha256"},
		{"pkg/sshdconfig", "net/netip"},
		{"pkg/sshtest", module + "pkg/strictmodes"},
		{"scripts/demo", module + "pkg/sshtest"},
	} {
		if wrong := misplaced(c.pkg, c.imp); wrong != "" {
			t.Errorf("%s may not import %s: %s", c.pkg, c.imp, wrong)
		}
	}
}

// forbidden returns what a Go file holds that no file of the project may.
func forbidden(name string, file *ast.File) []string {
	var found []string
	test := strings.HasSuffix(name, "_test.go")
	mayExit, _ := path.Match("*/*/main.go", name)
	mayExit = test || mayExit && !strings.HasPrefix(name, "pkg/")
	starts := !test && !strings.HasPrefix(name, "scripts/") // with one of the programs
	ast.PreorderStack(file, nil, func(n ast.Node, within []ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			x, _ := n.X.(*ast.Ident)
			switch {
			case n.Sel.Name == "Insecure"+"IgnoreHostKey":
				found = append(found, "takes any host key")
			case x != nil && x.Name == "regexp" && n.Sel.Name == "MustCompile" && starts && !slices.ContainsFunc(within, isFunction):
				found = append(found, "compiles a pattern before main, at every start: sync.OnceValue")
			case x == nil || mayExit:
			case x.Name == "os" && n.Sel.Name == "Exit", x.Name == "log" && strings.HasPrefix(n.Sel.Name, "Fatal"):
				found = append(found, "exits: only a main.go may")
			}
		case *ast.CallExpr:
			if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "panic" && len(n.Args) == 1 && !test {
				if s, _ := literal(n.Args[0]); s == "unwritten" {
					found = append(found, "holds a function that is unwritten")
				}
			}
		}
		return true
	})
	return found
}

func isFunction(n ast.Node) bool {
	switch n.(type) {
	case *ast.FuncDecl, *ast.FuncLit:
		return true
	}
	return false
}

func TestForbidden(t *testing.T) {
	for name, file := range goFiles(t) {
		for _, wrong := range forbidden(name, file) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

func TestForbiddenRefuses(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       int
	}{
		{"pkg/x/x.go", `func f() { os.Exit(1) }`, 1},
		{"pkg/x/main.go", `func f() { os.Exit(1) }`, 1},
		{"cmd/x/run.go", `func f() { log.Fatalf("x") }`, 1},
		{"cmd/x/main.go", `func f() { os.Exit(1) }`, 0},
		{"scripts/x/main.go", `func f() { os.Exit(1) }`, 0},
		{"pkg/x/x_test.go", `func f() { ssh.Insecure` + `IgnoreHostKey() }`, 1},
		{"pkg/x/x.go", `func f() { panic("unwritten") }`, 1},
		{"pkg/x/x.go", `func f() { panic("a case that cannot be") }`, 0},
		{"pkg/x/x.go", `var r = regexp.MustCompile("x")`, 1},
		{"pkg/x/x.go", `var ( rs = []*regexp.Regexp{regexp.MustCompile("x"), regexp.MustCompile("y")} )`, 2},
		{"pkg/x/x.go", `var r = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile("x") })`, 0},
		{"pkg/x/x.go", `func f() *regexp.Regexp { return regexp.MustCompile("x") }`, 0},
		{"pkg/x/x_test.go", `var r = regexp.MustCompile("x")`, 0},
		{"scripts/x/main.go", `var r = regexp.MustCompile("x")`, 0},
	} {
		file, err := parser.ParseFile(token.NewFileSet(), c.name, "package x\n"+c.text, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := forbidden(c.name, file); len(got) != c.want {
			t.Errorf("%s with %s: %q, want %d", c.name, c.text, got, c.want)
		}
	}
}

// byItself finds the first five letters of the programs' names where a word
// starts with them that is neither a program nor an upper-case variable of
// theirs: the toolkit is never called that.
func byItself(text string) []string {
	five := "pi" + "key"
	var found []string
	for _, m := range regexp.MustCompile(`(?i)(?:^|[^a-z])(`+five+`\w*)`).FindAllStringSubmatch(text, -1) {
		word := m[1]
		ofProgram := strings.HasPrefix(word, strings.ToUpper(five)+"_")
		for _, p := range programs {
			ofProgram = ofProgram || strings.HasPrefix(strings.ToLower(word), p)
		}
		if !ofProgram {
			found = append(found, word)
		}
	}
	return found
}

func TestNameNeverByItself(t *testing.T) {
	for _, name := range tracked(t) {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			continue // a tracked file that is gone, or a link
		}
		for _, word := range byItself(name + "\n" + string(data)) {
			t.Errorf("%s: %q by itself", name, word)
		}
	}
	five := "pi" + "key"
	for _, bad := range []string{five, strings.ToUpper(five), "." + five + "-tmp", five + "s", "the " + five + " tools", "_" + five} {
		if len(byItself(bad)) == 0 {
			t.Errorf("%q was let through", bad)
		}
	}
	for _, good := range []string{"pikeygen", "PIKEY_TEST_REQUIRE", "pi-key-tools", ".pikeycopy.XXXXXX", "TestPikeygenDevFull", "gssapi" + "keyexchange"} {
		if len(byItself(good)) != 0 {
			t.Errorf("%q was refused", good)
		}
	}
}

// The options that a program knows are the options that its page describes.
func TestOptionsAreDocumented(t *testing.T) {
	for _, p := range programs {
		t.Run(p, func(t *testing.T) {
			help := optionsOfHelp(run(t, filepath.Join(binaries(t), p), "-h"))
			page := optionsOfPage(readFile(t, "man/"+p+".1"))
			for o := range help {
				if !page[o] {
					t.Errorf("-h has %s, man/%s.1 has not", o, p)
				}
			}
			for o := range page {
				if !help[o] {
					t.Errorf("man/%s.1 has %s, -h has not", p, o)
				}
			}
			for _, o := range []string{"-h", "--help", "--version", "-v", "--verbose", "-q", "--quiet", "--json"} {
				if !help[o] {
					t.Errorf("-h has no %s", o)
				}
			}
		})
	}
}

// optionsOfHelp reads "  -n, --dry-run   …" lines.
func optionsOfHelp(help string) map[string]bool {
	options := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^ +(?:(-\w), )?(--[\w-]+)`).FindAllStringSubmatch(help, -1) {
		for _, o := range m[1:] {
			if o != "" {
				options[o] = true
			}
		}
	}
	return options
}

// optionsOfPage reads ".It Fl n , Fl -dry-run" lines.
func optionsOfPage(page string) map[string]bool {
	options := make(map[string]bool)
	for _, it := range regexp.MustCompile(`(?m)^\.It Fl .*$`).FindAllString(page, -1) {
		for _, m := range regexp.MustCompile(` Fl ([\w-]+)`).FindAllStringSubmatch(it, -1) {
			options["-"+m[1]] = true
		}
	}
	return options
}

func TestOptionReaders(t *testing.T) {
	want := map[string]bool{"-n": true, "--dry-run": true, "--json": true}
	help := "usage: x [-n]\n       x [-z]\n\n  -n, --dry-run     show --nothing\n      --json        x\n"
	if got := optionsOfHelp(help); !maps.Equal(got, want) {
		t.Errorf("of the help: %v", got)
	}
	page := ".It Fl n , Fl -dry-run\nsee\n.Fl z\n.It Fl -json Ar file\n.It Ev HOME\n"
	if got := optionsOfPage(page); !maps.Equal(got, want) {
		t.Errorf("of the page: %v", got)
	}
}

// The catalogue and its page say the same in the same words.
func TestCausesAreDocumented(t *testing.T) {
	page := causesOfPage(readFile(t, "man/pi-key-causes.7"))
	for _, e := range cause.All() {
		got, ok := page[e.Word]
		if !ok {
			t.Errorf("man/pi-key-causes.7 has no %s", e.Word)
			continue
		}
		delete(page, e.Word)
		want := []string{e.Meaning, "Known by: " + e.Evidence, "Example: " + strings.ReplaceAll(e.Example, "\t", "  ")}
		if e.Cure != "" {
			want = append(want, "Cure: "+e.Cure)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s differs\n pkg/cause: %q\n the page:  %q", e.Word, want, got)
		}
	}
	for word := range page {
		t.Errorf("man/pi-key-causes.7 has %s, pkg/cause has not", word)
	}
}

// The example of a cause is a record as a program prints it, or the note of a
// word that no record carries.
func TestCausesHaveExamples(t *testing.T) {
	for _, e := range cause.All() {
		if len(e.Example) > 320 {
			t.Errorf("%s: an example of %d bytes", e.Word, len(e.Example))
		}
		if regexp.MustCompile(`^pikeycheck: [!-~]+: ` + e.Word + `: [ -~]+$`).MatchString(e.Example) {
			continue
		}
		unfit := record.OK
		if e.Cure == "" { // it is one of what is well
			unfit = record.Fail
		}
		r, ok := record.Parse(e.Example)
		if !ok || string(r.AppendText(nil)) != e.Example+"\n" || r.Cause != e.Word || r.Verdict == unfit || r.Subject == "" || r.Detail == "" {
			t.Errorf("%s: not a record that says so: %q", e.Word, e.Example)
		}
	}
}

// causesOfPage returns the paragraphs under each ".It Cm word" as plain text.
func causesOfPage(page string) map[string][]string {
	causes := make(map[string][]string)
	word := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, ".It Cm "):
			word = strings.TrimPrefix(line, ".It Cm ")
			causes[word] = []string{""}
		case word == "":
		case strings.HasPrefix(line, ".El"):
			word = ""
		case strings.HasPrefix(line, ".Bd "), line == ".Ed": // around the example
		case line == ".Pp":
			causes[word] = append(causes[word], "")
		default:
			text := &causes[word][len(causes[word])-1]
			*text = strings.TrimPrefix(*text+" "+strings.ReplaceAll(line, `\&`, ""), " ")
		}
	}
	return causes
}

// Every cause that the code can say is in the catalogue, and nothing is in the
// catalogue that no code can say.
func TestCausesInCode(t *testing.T) {
	files := maps.Collect(goFiles(t))
	maps.DeleteFunc(files, func(name string, _ *ast.File) bool {
		return strings.HasSuffix(name, "_test.go") || strings.HasPrefix(name, "pkg/cause/")
	})
	words := make(map[string]bool)
	all := causesSaid(files)
	for _, name := range tracked(t) { // scripts that run on the far side
		if strings.HasPrefix(name, "pkg/") && strings.HasSuffix(name, ".sh") {
			for _, m := range regexp.MustCompile(`\bfail ([a-z][a-z-]*)`).FindAllStringSubmatch(readFile(t, name), -1) {
				all = append(all, said{name, m[1]})
				words[m[1]] = true
			}
		}
	}
	for _, s := range all {
		if _, ok := cause.Lookup(s.word); !ok {
			t.Errorf("%s says the cause %q, which pkg/cause does not know", s.file, s.word)
		}
	}
	word := regexp.MustCompile(`[a-z]+(-[a-z]+)*`)
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			if e, ok := n.(ast.Expr); ok {
				s, _ := literal(e) // a detail may name what remains possible
				for _, w := range word.FindAllString(s, -1) {
					words[w] = true
				}
			}
			return true
		})
	}
	for _, e := range cause.All() {
		if !words[e.Word] {
			t.Errorf("pkg/cause knows %q, which no program says", e.Word)
		}
	}
}

type said struct{ file, word string }

// causesSaid finds the string literals that are causes by where they stand: a
// field, variable, parameter or result that is named cause, in any case.
func causesSaid(files map[string]*ast.File) []said {
	isCause := func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			return strings.EqualFold(n.Name, "cause")
		case *ast.SelectorExpr:
			return strings.EqualFold(n.Sel.Name, "cause")
		}
		return false
	}
	// Where the cause stands among the fields of a struct, the parameters of a
	// function, by name; it is enough that the names are unlike each other.
	position := func(list *ast.FieldList) int {
		at := 0
		for _, f := range list.List {
			for _, name := range f.Names {
				if isCause(name) {
					return at
				}
				at++
			}
			if len(f.Names) == 0 {
				at++
			}
		}
		return -1
	}
	structs, params := map[string]int{}, map[string]int{}
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.TypeSpec:
				if s, ok := n.Type.(*ast.StructType); ok {
					if at := position(s.Fields); at >= 0 {
						structs[n.Name.Name] = at
					}
				}
			case *ast.FuncDecl:
				if at := position(n.Type.Params); at >= 0 {
					params[n.Name.Name] = at
				}
			case *ast.AssignStmt: // fail := func(cause string, …)
				for i, rhs := range n.Rhs {
					if f, ok := rhs.(*ast.FuncLit); ok && i < len(n.Lhs) {
						if at := position(f.Type.Params); at >= 0 {
							params[lastName(n.Lhs[i])] = at
						}
					}
				}
			}
			return true
		})
	}

	var all []said
	for name, file := range files {
		add := func(e ast.Expr) {
			if s, ok := literal(e); ok && s != "" {
				all = append(all, said{name, s})
			}
		}
		var result []int // for each function around: where its result is the cause
		var inspect func(n ast.Node) bool
		function := func(ft *ast.FuncType, body *ast.BlockStmt) {
			at := -1
			if ft.Results != nil {
				at = position(ft.Results)
			}
			if body != nil {
				result = append(result, at)
				ast.Inspect(body, inspect)
				result = result[:len(result)-1]
			}
		}
		composite := func(typ ast.Expr, elts []ast.Expr) {
			at, ok := structs[lastName(typ)]
			if s, here := typ.(*ast.StructType); here {
				at, ok = position(s.Fields), true
			}
			if ok && at >= 0 && at < len(elts) {
				add(elts[at]) // a KeyValueExpr is no literal
			}
		}
		inspect = func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				function(n.Type, n.Body)
				return false
			case *ast.FuncLit:
				function(n.Type, n.Body)
				return false
			case *ast.ReturnStmt:
				if at := result[len(result)-1]; at >= 0 && at < len(n.Results) {
					add(n.Results[at])
				}
			case *ast.KeyValueExpr:
				if isCause(n.Key) {
					add(n.Value)
				}
			case *ast.AssignStmt:
				for i, lhs := range n.Lhs {
					if isCause(lhs) && len(n.Rhs) == len(n.Lhs) {
						add(n.Rhs[i])
					}
				}
			case *ast.ValueSpec:
				for i, id := range n.Names {
					if isCause(id) && i < len(n.Values) {
						add(n.Values[i])
					}
				}
			case *ast.BinaryExpr:
				if (n.Op == token.EQL || n.Op == token.NEQ) && isCause(n.X) {
					add(n.Y)
				}
			case *ast.SwitchStmt:
				if n.Tag != nil && isCause(n.Tag) {
					for _, c := range n.Body.List {
						for _, e := range c.(*ast.CaseClause).List {
							add(e)
						}
					}
				}
			case *ast.CallExpr:
				if at, ok := params[lastName(n.Fun)]; ok && at < len(n.Args) {
					add(n.Args[at])
				}
			case *ast.CompositeLit:
				composite(n.Type, n.Elts)
				var elem ast.Expr // of which the elements may leave the type out
				switch typ := n.Type.(type) {
				case *ast.ArrayType:
					elem = typ.Elt
				case *ast.MapType:
					elem = typ.Value
				}
				for _, e := range n.Elts {
					if kv, ok := e.(*ast.KeyValueExpr); ok {
						e = kv.Value
					}
					if c, ok := e.(*ast.CompositeLit); ok && c.Type == nil && elem != nil {
						composite(elem, c.Elts)
					}
				}
			}
			return true
		}
		ast.Inspect(file, inspect)
	}
	return all
}

func TestCausesSaid(t *testing.T) {
	const src = `package x
type fault struct { Cause, Detail string }
var _ = fault{Cause: "a1"}
var _ = &fault{"a2", ""}
var _ = []fault{{"a3", ""}, {Detail: "no"}}
var _ = map[int]*fault{1: {"a4", "no"}}
var _ = []struct{ words, cause string }{{"no", "a0"}}
const cause = "a5"
func fail(target, cause, detail string) {}
func f() (cause, detail string) {
	fail("no", "a6", "no")
	r.fail("no", "a7", "no")
	say := func(cause string) {}
	say("a8")
	r.Cause = "a9"
	if r.Cause == "b1" { return "b2", "no" }
	switch r.Cause { case "b3", "b4": }
	g(func() string { return "no" })
	return "b5", "no"
}`
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", src, 0)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range causesSaid(map[string]*ast.File{"x.go": file}) {
		got = append(got, s.word)
	}
	slices.Sort(got)
	want := strings.Fields("a0 a1 a2 a3 a4 a5 a6 a7 a8 a9 b1 b2 b3 b4 b5")
	if !slices.Equal(got, want) {
		t.Errorf("got %q want %q", got, want)
	}
}

func TestManualPages(t *testing.T) {
	sshtest.Need(t, "mandoc")
	pages, err := filepath.Glob(filepath.Join(root, "man", "*.[0-9]"))
	if err != nil || len(pages) < len(programs)+2 {
		t.Fatalf("only %d manual pages: %v", len(pages), err)
	}
	for _, page := range pages {
		if out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", page).CombinedOutput(); err != nil {
			t.Errorf("mandoc: %v\n%s", err, out)
		}
		text := readFile(t, "man/"+filepath.Base(page))
		for _, section := range []string{"NAME", "DESCRIPTION", "EXIT STATUS", "ENVIRONMENT", "FILES", "EXAMPLES", "SEE ALSO", "SECURITY CONSIDERATIONS"} {
			if strings.HasSuffix(page, ".1") && !strings.Contains(text, "\n.Sh "+section+"\n") {
				t.Errorf("%s has no section %s", page, section)
			}
		}
	}
}

func TestShellScripts(t *testing.T) {
	sshtest.Need(t, "shellcheck")
	shebang := regexp.MustCompile(`^(#!.*\b(sh|bash|dash|ksh)\b|# shellcheck shell=)`)
	n := 0
	for _, name := range tracked(t) {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || !shebang.Match(data[:max(0, bytes.IndexByte(data, '\n'))]) {
			continue
		}
		n++
		if out, err := exec.Command("shellcheck", filepath.Join(root, name)).CombinedOutput(); err != nil {
			t.Errorf("shellcheck %s: %v\n%s", name, err, out)
		}
		// Those in pkg are embedded, and run on the far side; completions are sourced.
		if info, err := os.Stat(filepath.Join(root, name)); err == nil && info.Mode()&0o111 == 0 &&
			!strings.HasPrefix(name, "pkg/") && !strings.HasPrefix(name, "completions/") {
			t.Errorf("%s cannot be executed", name)
		}
	}
	if n == 0 {
		t.Error("no shell script was found")
	}
}

// The header of a script is its usage, and -h prints it, and does nothing else.
func TestScriptsExplainThemselves(t *testing.T) {
	n := 0
	for _, name := range tracked(t) {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil || path.Dir(name) != "scripts" || !bytes.HasPrefix(text, []byte("#!")) {
			continue
		}
		n++
		var header strings.Builder
		for line := range strings.Lines(string(text)[bytes.IndexByte(text, '\n')+1:]) {
			if !strings.HasPrefix(line, "#") {
				break
			}
			header.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "#"), " "))
		}
		if !strings.Contains(header.String(), path.Base(name)) || !regexp.MustCompile(`(?i)\b(exit\s+status|ends\s+with)\b`).MatchString(header.String()) {
			t.Errorf("%s: its header is no usage\n%s", name, header.String())
		}
		script, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		cmd := sshtest.Command(t, t.TempDir(), "env", script, "-h")
		cmd.Dir = t.TempDir()
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != header.String() {
			t.Errorf("%s -h: %v\n%s", name, err, out)
		}
	}
	if n == 0 {
		t.Error("no script was found")
	}
}

// goFiles parses every Go file of the module, for whichever system it is, and
// yields it under its path from the root.
func goFiles(t *testing.T) func(yield func(string, *ast.File) bool) {
	t.Helper()
	return func(yield func(string, *ast.File) bool) {
		n := 0
		err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && p != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
				return fs.SkipDir
			case d.IsDir() || !strings.HasSuffix(p, ".go"):
				return nil
			}
			file, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
			if err != nil {
				return err
			}
			name, err := filepath.Rel(root, p)
			if err != nil {
				return err
			}
			n++
			if name = filepath.ToSlash(name); strings.HasPrefix(name, "cmd/") && path.Dir(name) == "cmd" {
				return nil // these rules
			}
			if !yield(name, file) {
				return fs.SkipAll
			}
			return nil
		})
		if err != nil || n == 0 {
			t.Fatalf("reading the Go files: %d found, %v", n, err)
		}
	}
}

func imports(file *ast.File) []string {
	var paths []string
	for _, spec := range file.Imports {
		p, _ := literal(spec.Path)
		paths = append(paths, p)
	}
	return paths
}

// literal returns the value of a string literal.
func literal(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// lastName returns the name of a type or a function without its package,
// receiver or pointer.
func lastName(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	case *ast.StarExpr:
		return lastName(e.X)
	}
	return ""
}

// tracked returns the files that git tracks.
func tracked(t *testing.T) []string {
	t.Helper()
	sshtest.Need(t, "git")
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skip("this is no checkout of git: ", err)
	}
	abs, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	// A checkout that another user owns is read all the same: nothing in it
	// is run.
	out, err := exec.Command("git", "-c", "safe.directory="+abs, "-C", abs, "ls-files", "-z").CombinedOutput()
	if err != nil {
		t.Fatalf("git ls-files: %v: %s", err, out)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func readFile(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// run runs a command with an empty home and returns its standard output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	return string(out)
}

var build struct {
	once sync.Once
	dir  string
	err  error
}

// binaries builds the four programs once and returns their directory.
func binaries(t *testing.T) string {
	t.Helper()
	build.once.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "house"); build.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-buildvcs=false", "-o", build.dir+string(filepath.Separator), "./cmd/...")
		cmd.Dir = root
		if out, err := cmd.CombinedOutput(); err != nil {
			build.err = fmt.Errorf("go build ./cmd/...: %w\n%s", err, out)
		}
	})
	if build.err != nil {
		t.Fatal(build.err)
	}
	return build.dir
}

func TestMain(m *testing.M) {
	m.Run()
	if build.dir != "" {
		os.RemoveAll(build.dir)
	}
}
