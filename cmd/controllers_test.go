//go:build unix

package cmd_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pi-key-tools/pkg/sshtest"
)

// Controllers are two accounts of this machine, each behind an sshd of its own,
// from which a Pi is reached under any name. One of them has fish for its shell.
type controllers struct {
	*traveller
	pi    *sshtest.Pi
	sshds [2]*sshtest.Daemon
	more  string // lines of the list
}

// odd is a configuration that every controller has in its home.
const odd = "it's {} {1} {= die =} %s \"$HOME\".conf"

func startControllers(t *testing.T, c sshtest.PiConfig) *controllers {
	sshtest.Need(t, "parallel", "perl", "fish")
	fish, err := exec.LookPath("fish")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(binaries(t), 0o755); err != nil { // for other accounts
		t.Fatal(err)
	}
	pi := sshtest.StartPi(t, c)
	set := &controllers{traveller: newTraveller(t, pi.Endpoint), pi: pi}
	mine := sshtest.NewKey(t, filepath.Join(set.home, ".ssh"), "ed25519")
	var config strings.Builder
	var lines []string
	for i, shell := range []string{"", fish} {
		sshd := sshtest.StartSSHD(t, sshtest.SSHDConfig{})
		set.sshds[i] = sshd
		user := sshtest.AddUser(t, sshtest.UserConfig{Shell: shell})
		user.Authorize(t, mine.Line)
		ssh := filepath.Join(user.Home, ".ssh")
		lines = append(lines, sshtest.NewKey(t, ssh, "ed25519").Line)
		for path, text := range map[string]string{
			filepath.Join(ssh, "known_hosts"): pi.KnownHosts(),
			filepath.Join(ssh, "config"):      fmt.Sprintf("Host *\n  HostName 127.0.0.1\n  Port %d\n  User pi\n", pi.Port),
			filepath.Join(user.Home, odd):     fmt.Sprintf("Host *\n  HostName 127.0.0.1\n  Port %d\n  User pi\n", pi.Port),
		} {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			user.Own(t, path, 0o600)
		}
		user.Own(t, filepath.Join(ssh, "id_ed25519"), 0o600)
		known := set.file(fmt.Sprint("known", i), sshd.KnownHosts())
		fmt.Fprintf(&config, "Host c%d\n  HostName 127.0.0.1\n  Port %d\n  User %s\n  UserKnownHostsFile %s\n  IdentityFile %s\n",
			i+1, sshd.Port, user.Name, known, mine.File)
	}
	pi.Authorize(t, lines...)
	// ssh goes by the home of passwd(5), which is the developer's.
	path, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	set.program("ssh", "exec "+path+" -F "+set.file("config", config.String())+` "$@"`)
	return set
}

// start starts scripts/parallel-controllers on a list of n targets.
func (set *controllers) start(n int, args ...string) (cmd *exec.Cmd, out, errOut *bytes.Buffer) {
	set.t.Helper()
	path, err := filepath.Abs(filepath.Join(root, "scripts", "parallel-controllers"))
	if err != nil {
		set.t.Fatal(err)
	}
	list := "# targets\n" + set.more
	for i := range n {
		list += fmt.Sprintf("pi%02d which is a Pi\n\n", i)
	}
	cmd = sshtest.Command(set.t, set.home, "sh", append([]string{path}, args...)...)
	cmd.Env = append(cmd.Env, "PATH="+set.home+":"+os.Getenv("PATH"), "TMPDIR="+set.home)
	cmd.Stdin = strings.NewReader(list)
	out, errOut = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = out, errOut
	if err := cmd.Start(); err != nil {
		set.t.Fatal(err)
	}
	return cmd, out, errOut
}

// want waits for the end, and wants one record for each target, with these words.
func (set *controllers) want(cmd *exec.Cmd, out, errOut *bytes.Buffer, n, status int, words string) {
	set.t.Helper()
	_ = cmd.Wait() // its status is what this is about
	if got := cmd.ProcessState.ExitCode(); got != status {
		set.t.Errorf("status %d, want %d", got, status)
	}
	for i := range n {
		if name := fmt.Sprintf("pi%02d", i); strings.Count(out.String(), name) != 1 {
			set.t.Errorf("%d records of %s", strings.Count(out.String(), name), name)
		}
	}
	if words != "" && strings.Count(out.String(), words) != n {
		set.t.Errorf("%d records, want %d with %q", strings.Count(out.String(), words), n, words)
	}
	if set.t.Failed() {
		set.t.Logf("%s\n%s", out, errOut)
	}
	if left, _ := filepath.Glob(filepath.Join(set.home, "parallel-controllers.*")); len(left) != 0 {
		set.t.Errorf("%q is left", left)
	}
}

// until waits for something that is about to be.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not in time: ", what)
		}
	}
}

// A signal ends the run, and every target has its record all the same. Then one
// of two controllers is lost while it works: the other has its targets.
func TestControllersLost(t *testing.T) {
	t.Parallel()
	set := startControllers(t, sshtest.PiConfig{Latency: 150 * time.Millisecond})
	const n = 12
	cmd, out, errOut := set.start(n, "-S", "c1,c2", "-N", "1", "-j", "1", filepath.Join(binaries(t), "pikeycheck"))
	until(t, "a controller works", func() bool { return set.pi.Counts().Connections > 0 })
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	set.want(cmd, out, errOut, n, 128+15, "")
	if !strings.Contains(out.String(), "\tfail\tinterrupted\t") {
		t.Errorf("it was not interrupted\n%s", out)
	}

	before := set.pi.Counts().Connections
	cmd, out, errOut = set.start(n, "-S", "c1,c2", "-N", "2", filepath.Join(binaries(t), "pikeycheck"))
	until(t, "both controllers work", func() bool {
		return set.pi.Counts().Connections > before+4
	})
	set.sshds[0].Stop()
	set.want(cmd, out, errOut, n, 0, "\tok\tlogin\t")
	if !strings.Contains(errOut.String(), "c1: work on a part ended with status 255 (") {
		t.Errorf("nobody says that it was lost: %s", errOut)
	}
}

func TestControllers(t *testing.T) {
	t.Parallel()
	set := startControllers(t, sshtest.PiConfig{})
	check := filepath.Join(binaries(t), "pikeycheck")

	// Words of any kind arrive as they are.
	cmd, out, errOut := set.start(6, "-S", "c1", "-S", "c2", "-N", "3", check, "-F", odd, "--json")
	set.want(cmd, out, errOut, 6, 0, `"verdict":"ok","cause":"login"`)

	// A failed target is a record, and is not tried anew.
	before := set.pi.Counts().Connections
	set.pi.Authorize(t)
	cmd, out, errOut = set.start(4, "-S", "c1,c2", "-N", "2", check)
	set.want(cmd, out, errOut, 4, 1, "\tfail\tkey-refused\t")
	if got := set.pi.Counts().Connections - before; got != 4 {
		t.Errorf("%d connections", got)
	}

	// The program cannot work: that is trouble.
	cmd, out, errOut = set.start(3, "-S", "c1,c2", check, "--password-file", "nosuch")
	set.want(cmd, out, errOut, 3, 2, "\tfail\tinterrupted\t")
	if !strings.Contains(errOut.String(), "nosuch") {
		t.Errorf("nobody says why: %s", errOut)
	}

	// All are lost, and nobody could run it.
	for _, sshd := range set.sshds {
		sshd.Stop()
	}
	cmd, out, errOut = set.start(5, "-S", "c1,c2", "-N", "2", check, "--json")
	set.want(cmd, out, errOut, 5, 2, `"verdict":"fail","cause":"interrupted"`)

	for _, args := range [][]string{{}, {"-S", "c1"}, {check}, {"-S", "c1", "-N", "0", check}, {"-S", "# no", check}, {"-x", check}, {"--sshloginfile", "nosuch", check}} {
		cmd, out, errOut = set.start(1, args...)
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 2 || out.Len() != 0 || errOut.Len() == 0 {
			t.Errorf("%q: %v %s%s", args, cmd.ProcessState, out, errOut)
		}
	}
	cmd, out, errOut = set.start(0, "-S", "c1", check)
	set.want(cmd, out, errOut, 0, 2, "\t")
}

// A record that was cut off is none, and is no part of the next.
func TestControllersTorn(t *testing.T) {
	t.Parallel()
	sshtest.Need(t, "parallel")
	set := &controllers{traveller: newTraveller(t, sshtest.Endpoint{Addr: "127.0.0.1:1"})}
	set.program("ssh", `read -r a _; read -r b _; printf '%s\tok\tlogin\t-\t-\n%s\tok\tlo' "$a" "$b"; exit 255`)
	cmd, out, errOut := set.start(4, "-S", "c1", "-N", "2", "pikeycheck")
	set.want(cmd, out, errOut, 4, 2, "")
	set.program("ssh", "exit 0") // as where nothing ran, and nobody noticed
	nothing, outOfNothing, errOfNothing := set.start(3, "-S", "c1", "pikeycheck")
	set.want(nothing, outOfNothing, errOfNothing, 3, 2, "\tfail\tinterrupted\t")
	set.more = `LAB\pi@h` + "\n" + `{"v":1,"target":"LAB\\\\tim@j","verdict":"ok"}` + "\n"
	for _, format := range []string{"-q", "--json"} {
		cmd, out, errOut := set.start(0, "-S", "c1", "pikeycheck", format)
		set.want(cmd, out, errOut, 0, 2, "")
		if got, want := destinations(t, out.String()), []string{`LAB\pi@h`, `LAB\tim@j`}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if strings.Count(out.String(), "\tok\tlogin\t") != 2 || strings.Count(out.String(), "\tfail\tinterrupted\t") != 2 {
		t.Errorf("%s", out)
	}
	// Where one controller works, one that takes nothing costs its parts alone.
	set.program("ssh", `case " $* " in *" c2 "*) exit 255 ;; esac; read -r a _; printf '%s\tok\tlogin\t-\t-\n#%s\n' "$a" "$PARALLEL_SEQ"`)
	set.more = ""
	for i := range 4 {
		set.more += fmt.Sprintf("long%d %s\n", i, strings.Repeat("x", 1<<17))
	}
	cmd, out, errOut = set.start(0, "-S", "c1,c2", "-N", "1", "-j", "1", "--retries", "1", "pikeycheck")
	set.want(cmd, out, errOut, 0, 1, "")
	if strings.Count(out.String(), "\tok\tlogin\t") == 0 || strings.Count(out.String(), "\tfail\tinterrupted\t") == 0 || strings.Count(out.String(), "\n") != 4 {
		t.Errorf("%s%s", out, errOut)
	}
}
