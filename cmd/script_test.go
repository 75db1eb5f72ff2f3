//go:build unix

package cmd_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"pi-key-tools/pkg/sshtest"
)

// TestScripts runs testdata/script/*.txtar, each in a HOME of its own, with the
// four programs and scripts/ in PATH. Besides testscript's own commands:
//
//	status N [<FILE] [>FILE] program [arg ...]
//	    runs it (standard input from FILE, output also to FILE) and wants
//	    exit status N, which testscript's exec cannot tell from another.
//	pi NAME [user-password|broken|no-password|prompt ...]
//	    starts a pretend Pi; NAME becomes an alias in ssh_config, $NAME its
//	    address, $NAME_home its home, and password-NAME a file.
//	known NAME [wrong]
//	    puts its host key, or another, into known_hosts.
//	passwords NAME N | connections NAME N
//	    wants that it has seen so many.
//	lines N FILE
//	    wants that many lines.
//	appendline FILE LINE
//	agent [silent]
//	    starts an ssh-agent, or what never answers, and sets SSH_AUTH_SOCK.
func TestScripts(t *testing.T) {
	bin := binaries(t)
	scripts, err := filepath.Abs(filepath.Join(root, "scripts"))
	if err != nil {
		t.Fatal(err)
	}
	var pis sync.Map // *sshtest.Pi by script and name; the scripts run side by side
	pi := func(ts *testscript.TestScript, name string) *sshtest.Pi {
		p, ok := pis.Load(ts.Name() + " " + name)
		if !ok {
			ts.Fatalf("no pi %s", name)
		}
		return p.(*sshtest.Pi)
	}
	testscript.Run(t, testscript.Params{
		Dir:                "testdata/script",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, "home")
			if err := os.MkdirAll(filepath.Join(home, ".ssh"), 0o700); err != nil {
				return err
			}
			env.Vars = append(sshtest.Env(home), "WORK="+env.WorkDir, "TMPDIR="+env.WorkDir)
			env.Setenv("PATH", bin+":"+scripts+":"+env.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"pi": func(ts *testscript.TestScript, _ bool, args []string) {
				pis.Store(ts.Name()+" "+args[0], startPi(t, ts, args[0], args[1:]))
			},
			"known": func(ts *testscript.TestScript, _ bool, args []string) {
				line := pi(ts, args[0]).KnownHosts()
				if len(args) > 1 {
					name, _, _ := strings.Cut(line, " ")
					line = name + " " + sshtest.NewKey(t, t.TempDir(), "ed25519").Line + "\n"
				}
				appendTo(ts, filepath.Join(ts.Getenv("HOME"), ".ssh", "known_hosts"), line)
			},
			"passwords": func(ts *testscript.TestScript, _ bool, args []string) {
				want(ts, "passwords", pi(ts, args[0]).Counts().Passwords, args[1])
			},
			"connections": func(ts *testscript.TestScript, _ bool, args []string) {
				want(ts, "connections", pi(ts, args[0]).Counts().Connections, args[1])
			},
			"appendline": func(ts *testscript.TestScript, _ bool, args []string) {
				appendTo(ts, ts.MkAbs(args[0]), args[1]+"\n")
			},
			"agent": func(ts *testscript.TestScript, _ bool, args []string) {
				if len(args) == 0 {
					ts.Setenv("SSH_AUTH_SOCK", sshtest.StartAgent(t))
					return
				}
				silent, err := net.Listen("unix", filepath.Join(t.TempDir(), "silent")) // its backlog takes calls
				ts.Check(err)
				t.Cleanup(func() { silent.Close() })
				ts.Setenv("SSH_AUTH_SOCK", silent.Addr().String())
			},
			"lines": func(ts *testscript.TestScript, _ bool, args []string) {
				want(ts, "lines", strings.Count(ts.ReadFile(args[1]), "\n"), args[0])
			},
		},
	})
}

func want(ts *testscript.TestScript, what string, got int, want string) {
	if strconv.Itoa(got) != want {
		ts.Fatalf("%d %s, want %s", got, what, want)
	}
}

// status runs a program without a terminal, so that nothing can ask the
// developer for a password.
func status(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N [<FILE] [>FILE] program [arg ...]")
	}
	wanted, err := strconv.Atoi(args[0])
	ts.Check(err)
	args = args[1:]
	var in, out *os.File
	for len(args) > 0 && (args[0][0] == '<' || args[0][0] == '>') {
		path := ts.MkAbs(args[0][1:])
		if args[0][0] == '<' {
			in, err = os.Open(path)
		} else {
			out, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
		}
		ts.Check(err)
		args = args[1:]
	}
	path := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path, err = exec.LookPath(filepath.Join(dir, args[0])); err == nil {
			break
		}
	}
	if err != nil {
		ts.Fatalf("no program %s", args[0])
	}
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{"HOME", "PATH", "LC_ALL", "WORK", "TMPDIR", "SSH_AUTH_SOCK", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Stderr = ts.Stderr()
	cmd.Stdout = ts.Stdout()
	if in != nil {
		defer in.Close()
		cmd.Stdin = in
	}
	if out != nil {
		defer out.Close()
		cmd.Stdout = out
	}
	ts.Check(cmd.Start())
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	_ = cmd.Wait() // its status is what this is about
	got := cmd.ProcessState.ExitCode()
	if got != wanted {
		ts.Fatalf("status %d of %q, want %d", got, args, wanted)
	}
}

func startPi(t *testing.T, ts *testscript.TestScript, name string, words []string) *sshtest.Pi {
	config := sshtest.PiConfig{Home: filepath.Join(ts.MkAbs("."), "far-"+name)}
	broken := false
	for _, w := range words {
		switch w {
		case "broken":
			broken = true
		case "no-password":
			config.Methods = []string{sshtest.PublicKey}
		case "prompt":
			config.Methods = []string{sshtest.PublicKey, sshtest.KeyboardInteractive}
		default:
			ts.Fatalf("pi %s: no such word %q", name, w)
		}
	}
	pi := sshtest.StartPi(t, config)
	if broken {
		ts.Check(os.Chmod(pi.Home, 0o777))
	}
	home := ts.Getenv("HOME")
	host, port, _ := strings.Cut(pi.Addr, ":")
	appendTo(ts, filepath.Join(home, ".ssh", "config"), fmt.Sprintf("Host %s\n  HostName %s\n  Port %s\n  User pi\n", name, host, port))
	ts.Check(os.WriteFile(ts.MkAbs("password-"+name), []byte(pi.Password+"\n"), 0o600))
	ts.Setenv(name, pi.Addr)
	ts.Setenv(name+"_home", pi.Home)
	return pi
}

func appendTo(ts *testscript.TestScript, path, text string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = f.WriteString(text)
	ts.Check(err)
	ts.Check(f.Close())
}
