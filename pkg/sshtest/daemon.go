package sshtest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// An SSHDConfig says how StartSSHD starts sshd.
type SSHDConfig struct {
	Program  string // the path of sshd; "" for the one that is installed
	UsePAM   bool
	HostKeys []string // types, as NewKey takes them; nil for ed25519 alone

	// Config has further lines of sshd_config. They come before ours and so
	// override them; from the first Match on they go to the end. Port,
	// ListenAddress, HostKey and PidFile must not be among them, and LogLevel
	// must be at least INFO.
	Config []string
}

// A Daemon is a real server on its own port.
type Daemon struct {
	Endpoint
	log string // path
	*process
}

// Log returns what the daemon has logged so far. sshd ends its lines in CR LF.
func (d *Daemon) Log() string {
	data, err := os.ReadFile(d.log)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

// Stop ends the daemon and its connections before the test does.
func (d *Daemon) Stop() { d.stop() }

// StartSSHD starts OpenSSH's sshd on 127.0.0.1 with the configuration that
// Debian ships (keyboard-interactive is off), LogLevel VERBOSE, and no file of
// /etc/ssh. Started by root it serves every user of this machine; otherwise the
// current one, by key. It makes /run/sshd if that is missing, and leaves it,
// since another sshd may have begun to rely on it. The test ends it.
func StartSSHD(t testing.TB, c SSHDConfig) *Daemon {
	t.Helper()
	sshd := c.Program
	if sshd == "" {
		Need(t, "sshd")
		path, err := lookPath("sshd")
		if err != nil {
			t.Fatal(err)
		}
		sshd = path
	}
	if os.Geteuid() == 0 {
		if err := os.Mkdir("/run/sshd", 0o755); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
	}
	dir := tempDir(t)
	if c.HostKeys == nil {
		c.HostKeys = []string{"ed25519"}
	}
	global, match := c.Config, []string(nil)
	if i := slices.IndexFunc(global, isMatch); i >= 0 {
		global, match = global[:i], global[i:]
	}
	lines := slices.Clone(global)
	var keys []ssh.PublicKey
	for _, keytype := range c.HostKeys {
		k, err := writeKey(filepath.Join(dir, "host_"+keytype), keytype, "host")
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, k.Signer.PublicKey())
		lines = append(lines, "HostKey "+k.File)
	}
	usePAM := "no"
	if c.UsePAM {
		usePAM = "yes"
	}
	lines = append(lines, "PidFile none", "LogLevel VERBOSE", "UsePAM "+usePAM,
		"KbdInteractiveAuthentication no", "PrintMotd no", "AcceptEnv LANG LC_*")
	if !slices.ContainsFunc(global, isSubsystem) { // sshd takes no second one
		lines = append(lines, "Subsystem sftp internal-sftp")
	}
	config := filepath.Join(dir, "sshd_config")
	write(t, config, strings.Join(append(append(lines, match...), ""), "\n"), 0o600)

	return startDaemon(t, keys, "Server listening on", func(port int, log *os.File) *exec.Cmd {
		return exec.Command(sshd, "-D", "-E", log.Name(), "-f", config,
			"-o", "ListenAddress=127.0.0.1:"+strconv.Itoa(port))
	})
}

func isMatch(line string) bool     { return keyword(line) == "match" }
func isSubsystem(line string) bool { return keyword(line) == "subsystem" }

func keyword(line string) string {
	f := strings.Fields(line)
	if len(f) == 0 {
		return ""
	}
	return strings.ToLower(f[0])
}

// StartDropbear starts dropbear on 127.0.0.1 with an ed25519 host key and
// further arguments of its command line. It serves every user of this machine
// whose shell is in /etc/shells, and needs root. The test ends it.
func StartDropbear(t testing.TB, args ...string) *Daemon {
	t.Helper()
	NeedRoot(t)
	Need(t, "dropbear", "dropbearkey")
	dropbear, err := lookPath("dropbear")
	if err != nil {
		t.Fatal(err)
	}
	dir := tempDir(t)
	hostKey := filepath.Join(dir, "host_ed25519")
	out, err := run("", "dropbearkey", "-t", "ed25519", "-f", hostKey)
	if err != nil {
		t.Fatalf("dropbearkey: %v: %s", err, out)
	}
	_, line, _ := strings.Cut(string(out), "\nssh-ed25519 ")
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte("ssh-ed25519 " + line))
	if err != nil {
		t.Fatalf("reading what dropbearkey printed: %v", err)
	}
	return startDaemon(t, []ssh.PublicKey{key}, "Not backgrounding", func(port int, log *os.File) *exec.Cmd {
		cmd := exec.Command(dropbear, append(args, "-F", "-E", "-r", hostKey,
			"-P", filepath.Join(dir, "pid"), "-p", "127.0.0.1:"+strconv.Itoa(port))...)
		cmd.Stderr = log
		return cmd
	})
}

// startDaemon starts a server program on a free port and waits until its log
// says that it listens. Knocking at the port instead would show in the log,
// and might count against us. Somebody else may take the port between our look
// and the program's; then another is tried.
func startDaemon(t testing.TB, keys []ssh.PublicKey, listens string, command func(port int, log *os.File) *exec.Cmd) *Daemon {
	t.Helper()
	var said string
	for range 5 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr()
		l.Close()
		log, err := os.Create(filepath.Join(tempDir(t), "log"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := command(addr.(*net.TCPAddr).Port, log)
		cmd.Env = Env("/")
		d := &Daemon{newEndpoint(addr, keys...), log.Name(), startProcess(t, cmd)}
		log.Close() // the program has its own by now
		for deadline := time.Now().Add(10 * time.Second); !d.ended() && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if strings.Contains(d.Log(), listens) {
				return d
			}
		}
		said = d.Log()
		d.stop()
	}
	t.Fatal(fmt.Errorf("the server does not start: %s", said))
	return nil
}
