package sh

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Every login shell hands the script on as it is, and the standard input too.
func TestCommand(t *testing.T) {
	var all strings.Builder
	for c := 1; c < 256; c++ {
		all.WriteByte(byte(c))
	}
	data := all.String() + "!! !$ %s %% \\n \\\\ \\' $HOME `id` $(id) ${x} ^a^b \"'\"'' ~ * # \r\n\n\t! é \xff"
	script := "# a comment, and it's odd!\nset -f\nprintf '%s.' " + Quote(data) + "\ncat\nexit 7\n"
	command := Command(script)
	if strings.ContainsAny(command, "\n!\r\t") {
		t.Errorf("not one plain line: %q", command)
	}
	tried := 0
	for _, shell := range []string{"sh", "bash", "dash", "zsh", "fish", "tcsh", "csh", "ksh", "mksh", "busybox"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("no %s here", shell)
			continue
		}
		tried++
		args := []string{"-c", command}
		if shell == "busybox" {
			args = []string{"ash", "-c", command}
		}
		cmd := exec.Command(path, args...)
		cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=/usr/bin:/bin"}
		cmd.Stdin = strings.NewReader("payload")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, _ := cmd.Output()
		if string(out) != data+".payload" || cmd.ProcessState.ExitCode() != 7 {
			t.Errorf("%s: status %d, %q, %s", shell, cmd.ProcessState.ExitCode(), out, stderr.String())
		}
	}
	switch {
	case tried > 0:
	case os.Getenv("PIKEY_TEST_REQUIRE") == "1":
		t.Error("no shell at all")
	default:
		t.Skip("no shell at all")
	}
}

// A start-up file that has overwritten PATH is the user's, and not in our way.
func TestCommandPath(t *testing.T) {
	own := t.TempDir()
	for path, want := range map[string]string{
		"":        "/usr/bin:/bin",
		"/none":   "/usr/bin:/bin",
		"/bin:/x": "/bin:/x",
	} {
		cmd := exec.Command("/bin/sh", "-c", Command(`ls -d / && echo "$PATH"`))
		cmd.Env, cmd.Dir = []string{"PATH=" + path}, own
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != "/\n"+want+"\n" {
			t.Errorf("PATH=%s: %q, %v", path, out, err)
		}
	}
}

// The inner shell is the far /bin/sh: every one that may be it gets the bytes.
func TestCommandInner(t *testing.T) {
	command := Command("printf %s '\x80\xff%d\\101-'; echo é")
	for _, sh := range [][]string{{"dash"}, {"bash", "--posix"}, {"busybox", "ash"}, {"zsh", "--emulate", "sh"}, {"ksh"}, {"mksh"}} {
		path, err := exec.LookPath(sh[0])
		if err != nil {
			continue
		}
		inner := path + " " + strings.Join(append(sh[1:], "-c"), " ")
		out, err := exec.Command("sh", "-c", strings.Replace(command, "/bin/sh -c", inner, 1)).CombinedOutput()
		if err != nil || string(out) != "\x80\xff%d\\101-é\n" {
			t.Errorf("%s: %q, %v", sh, out, err)
		}
	}
}

func TestCommandFits(t *testing.T) {
	if n := len(Command(strings.Repeat("\n", 32_000))); n >= 128<<10 {
		t.Errorf("32,000 bytes became %d", n)
	}
}

func TestCompact(t *testing.T) {
	got := Compact("#!/bin/sh\n\n# why\nif :; then # who\n\t\techo $# ${x#a } '#'\n\tfi\n")
	if want := "if :; then\necho $# ${x#a } '#'\nfi\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		"":                         "''",
		"/home/pi/.ssh/id_ed25519": "/home/pi/.ssh/id_ed25519",
		"-n":                       "-n",
		"a b":                      "'a b'",
		"it's":                     `'it'\''s'`,
		"~":                        "'~'",
		"$x;`y`\n":                 "'$x;`y`\n'",
	} {
		if got := Quote(s); got != want {
			t.Errorf("Quote(%q) = %s, want %s", s, got, want)
		}
	}
}

func TestQuoteLine(t *testing.T) {
	for s, want := range map[string]string{
		"/home/pi/o'brien":                     `'/home/pi/o'\''brien'`,
		"d'\nhint: sudo reboot #\\\x1b\t\x7fé": `$'d\'\012hint: sudo reboot #\\\033\011\177é'`,
	} {
		got := QuoteLine(s)
		if got != want {
			t.Errorf("QuoteLine(%q) = %s, want %s", s, got, want)
		}
		if out, err := exec.Command("bash", "-c", "printf %s. "+got).Output(); err != nil || string(out) != s+"." {
			t.Errorf("QuoteLine(%q) is %q to bash: %v", s, out, err)
		}
	}
}

func FuzzQuote(f *testing.F) {
	for _, s := range []string{"", "'", "a'b''", "\\", "-e", "$(id)", "\n", "\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if strings.Contains(s, "\x00") {
			t.Skip("no argument holds a NUL")
		}
		out, err := exec.Command("sh", "-c", "printf %s. "+Quote(s)).Output()
		if err != nil || string(out) != s+"." {
			t.Errorf("%q came as %q, %v", s, out, err)
		}
	})
}
