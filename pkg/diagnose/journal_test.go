//go:build unix

package diagnose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshdlog"
	"pi-key-tools/pkg/sshtest"
)

// A keeper is a machine with logs: a directory for the files of its syslogd, and
// one with its own journalctl.
type keeper struct{ dir string }

// newKeeper makes one whose journalctl is this script. Its syslogd keeps
// nothing yet.
func newKeeper(t *testing.T, journalctl string) keeper {
	t.Helper()
	k := keeper{t.TempDir()}
	was := logFiles
	logFiles = []string{k.dir + "/auth.log.1", k.dir + "/auth.log", k.dir + "/secure"}
	t.Cleanup(func() { logFiles = was })
	k.write(t, "bin/journalctl", "#!/bin/sh\n"+journalctl, 0o755)
	return k
}

func (k keeper) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(k.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), sshtest.WriteFile(path, []byte(text), mode)); err != nil {
		t.Fatal(err)
	}
}

// run is a login with start-up files that talk.
func (k keeper) run(ctx context.Context, command string) ([]byte, []byte, int, error) {
	cmd := exec.CommandContext(ctx, "/bin/sh", "-c", "echo 'log-x from the journal'; "+command)
	cmd.Env = []string{"PATH=" + k.dir + "/bin:" + os.Getenv("PATH"), "TZ=Asia/Tokyo"}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
	}
	return out, stderr.Bytes(), cmd.ProcessState.ExitCode(), err
}

const (
	noFiles  = "echo 'No journal files were found.' >&2\n"
	noRights = "echo 'No journal files were opened due to insufficient permissions.' >&2\nexit 1\n"
	ownOnly  = "echo 'Hint: You are currently not seeing messages from other users and the system.' >&2\n"
	refusal  = "Authentication refused: bad ownership or modes for directory /home/pi"
)

func entry(at time.Time, message string) string {
	return fmt.Sprintf(`{"__CURSOR":"s=1;i=2","SYSLOG_IDENTIFIER":"sshd","__REALTIME_TIMESTAMP":"%d","_COMM":"sshd","_BOOT_ID":"7","MESSAGE":"%s"}`+"\n", at.UnixMicro(), message)
}

// answering is a journalctl that keeps what it is asked, and shows a file.
const answering = `echo "$*" >>"$(dirname "$0")/asked"
case $* in *"-n 1 "*) ;; *) cat "$(dirname "$0")/entries" ;; esac
`

func TestFarLog(t *testing.T) {
	old, fresh := "Nov 22 07:23:29 pi sshd[1]: "+refusal+"\n", "Nov 23 07:23:29 pi sshd[2]: "+refusal+"\n"
	for _, c := range []struct {
		name, journalctl string
		files            []string // that syslogd keeps
		from             []string
		lines            int
		err              error
	}{
		{"a journal", answering, []string{"auth.log"}, []string{theJournal}, 1, nil},
		{"no journal files", noFiles, []string{"auth.log"}, nil, 1, nil},
		{"none that may be read", noRights, []string{"auth.log", "auth.log.1"}, nil, 2, nil},
		{"only one's own", ownOnly, []string{"secure"}, nil, 1, nil},
		{"nothing at all", noFiles, nil, nil, 0, ErrNoLog},
		{"nothing that may be read", noRights, nil, nil, 0, &LogClosedError{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newKeeper(t, c.journalctl)
			k.write(t, "bin/entries", entry(time.Now(), refusal), 0o600)
			for _, name := range c.files {
				k.write(t, name, map[bool]string{true: old, false: fresh}[strings.HasSuffix(name, ".1")], 0o600)
			}
			l, err := FarLog(t.Context(), k.run, 0)
			if closed, ok := errors.AsType[*LogClosedError](c.err); ok {
				if !errors.As(err, &closed) || !slices.Equal(closed.Closed, []string{theJournal}) || closed.Hint() == "" {
					t.Fatalf("error %v", err)
				}
				return
			}
			if !errors.Is(err, c.err) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if err != nil {
				return
			}
			if c.from == nil {
				for _, name := range logFiles {
					if slices.Contains(c.files, filepath.Base(name)) {
						c.from = append(c.from, name)
					}
				}
			}
			text, _ := io.ReadAll(l)
			if !slices.Equal(l.From, c.from) || bytes.Count(text, []byte("\n")) != c.lines || l.Cut {
				t.Errorf("from %q, cut %v:\n%s", l.From, l.Cut, text)
			}
			if strings.Contains(string(text), "__CURSOR") {
				t.Errorf("it has what nobody needs: %s", text)
			}
			if c.lines == 2 && string(text) != old+fresh {
				t.Errorf("not the oldest first: %s", text)
			}
		})
	}
}

func TestFarLogIsBounded(t *testing.T) {
	k := newKeeper(t, noFiles)
	line := "Nov 22 07:23:29 pi sshd[1]: " + refusal + "\n"
	k.write(t, "auth.log", strings.Repeat(line, 2*journalBytes/len(line))+"x\n", 0o600)
	l, err := FarLog(t.Context(), k.run, 0)
	if err != nil || !l.Cut {
		t.Fatalf("%+v, %v", l, err)
	}
	text, _ := io.ReadAll(l)
	if len(text) > journalBytes || !bytes.HasPrefix(text, []byte(line)) || !bytes.HasSuffix(text, []byte(line+"x\n")) {
		t.Errorf("%d bytes, %.100s …", len(text), text)
	}
}

func TestHereLog(t *testing.T) {
	k := newKeeper(t, answering)
	k.write(t, "bin/entries", strings.Repeat(entry(time.Now(), refusal), 10_000), 0o600) // more than is kept of a far one
	t.Setenv("PATH", k.dir+"/bin:"+os.Getenv("PATH"))
	l, err := HereLog(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s := sshdlog.NewScanner(l, sshdlog.Refusal)
	n := 0
	for s.Scan() {
		n++
	}
	if err := errors.Join(s.Err(), l.Close()); err != nil || n != 10_000 || s.Stats().Known != n || s.Stats().Lines != n {
		t.Errorf("%d events of %+v, %v", n, s.Stats(), err)
	}

	// One that dies midway shows what it has, and that there may be more.
	k.write(t, "bin/journalctl", "#!/bin/sh\n"+answering+"case $* in *\"-n 1 \"*) ;; *) kill -9 $$ ;; esac\n", 0o755)
	if l, err = HereLog(t.Context()); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(l); err != nil || bytes.Count(text, []byte("\n")) != 10_000 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "status 137") {
		t.Errorf("closed: %v", err)
	}
	if l, err = FarLog(t.Context(), k.run, time.Minute); err != nil {
		t.Fatal(err)
	}
	if text, _ := io.ReadAll(l); len(text) == 0 {
		t.Error("nothing of it is there")
	}
	if err := l.Close(); err == nil || !strings.Contains(err.Error(), "status 137") {
		t.Errorf("closed: %v", err)
	}

	k.write(t, "bin/journalctl", "#!/bin/sh\n"+noFiles, 0o755)
	if _, err := HereLog(t.Context()); !errors.Is(err, ErrNoLog) {
		t.Errorf("error %v", err)
	}
	k.write(t, "secure", "x\n", 0o600)
	ctx, cancel := context.WithCancel(t.Context())
	if l, err = HereLog(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := l.Close(); !errors.Is(err, context.Canceled) {
		t.Errorf("closed: %v", err)
	}
}

func TestNoShell(t *testing.T) {
	run := func(context.Context, string) ([]byte, []byte, int, error) {
		return []byte("This account is currently not available.\n"), []byte("\x1b[2J"), 1, nil
	}
	if _, err := FarLog(t.Context(), run, 0); !errors.Is(err, hostfs.ErrNoShell) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("error %q", err)
	}
	k := newKeeper(t, noFiles)
	k.write(t, "auth.log", "Nov 22 07:23:29 pi sshd[1]: "+refusal+"\n", 0o600)
	torn := func(ctx context.Context, command string) ([]byte, []byte, int, error) {
		out, stderr, status, err := k.run(ctx, command)
		return bytes.TrimSuffix(out, []byte(" end\n")), stderr, status, err
	}
	if _, err := FarLog(t.Context(), torn, 0); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
}

func TestJournal(t *testing.T) {
	now := time.Now()
	k := newKeeper(t, answering)
	k.write(t, "bin/entries", entry(now.Add(-time.Hour), "Invalid user old from 1.2.3.4 port 1")+
		entry(now, "Server listening on :: port 22.")+entry(now, "Failed password for pi from 1.2.3.4 port 1 ssh2")+entry(now, refusal), 0o600)
	events, err := journal(t.Context(), k.run, now.Add(-2*time.Second))
	if err != nil || len(events) != 1 || events[0].Cause != "home-writable" || events[0].Severity != sshdlog.Refusal {
		t.Errorf("%+v, %v", events, err)
	}
	asked, _ := os.ReadFile(k.dir + "/bin/asked")
	if !strings.Contains(string(asked), "--since=-3s") || strings.Contains(string(asked), "-n3000") {
		t.Errorf("asked %s", asked)
	}

	// The clock of the files is that of the machine, to the second.
	k = newKeeper(t, noFiles)
	var text strings.Builder
	for _, layout := range []string{"Jan _2 15:04:05", time.RFC3339Nano} {
		for _, ago := range []time.Duration{time.Hour, 0} {
			at := now.Add(-ago)
			if layout == "Jan _2 15:04:05" {
				at = at.Local()
			}
			fmt.Fprintf(&text, "%s pi sshd[1]: Invalid user %s%d from 1.2.3.4 port 1\n", at.Format(layout), layout[:1], ago/time.Hour)
		}
	}
	k.write(t, "auth.log", text.String(), 0o600)
	events, err = journal(t.Context(), k.run, now)
	var users []string
	for _, e := range events {
		users = append(users, e.User)
	}
	if err != nil || !slices.Equal(users, []string{"J0", "20"}) {
		t.Errorf("%q, %v", users, err)
	}
}

func TestLogTime(t *testing.T) {
	tokyo := time.FixedZone("", 9*3600)
	now := time.Date(2027, 1, 1, 0, 30, 0, 0, tokyo)
	for _, c := range []struct {
		text string
		want time.Time
	}{
		{"1795332209719436", time.UnixMicro(1795332209719436)},
		{"2026-11-22T07:23:29.719890+00:00", time.Date(2026, 11, 22, 7, 23, 29, 719890000, time.UTC)},
		{"Jan  1 00:29:59", time.Date(2027, 1, 1, 0, 29, 59, 0, tokyo)},
		{"Jan  1 00:31:00", time.Date(2027, 1, 1, 0, 31, 0, 0, tokyo)}, // a clock that was set back
		{"Dec 31 23:59:59", time.Date(2026, 12, 31, 23, 59, 59, 0, tokyo)},
		{"Feb 29 12:00:00", time.Date(2024, 2, 29, 12, 0, 0, 0, tokyo)},
		{"Nov 22 07:23:29.719436", time.Date(2026, 11, 22, 7, 23, 29, 719436000, tokyo)},
		{"", time.Time{}},
		{"yesterday", time.Time{}},
	} {
		if got, ok := logTime(c.text, now); ok == c.want.IsZero() || !got.Equal(c.want) {
			t.Errorf("%q: %v %v, want %v", c.text, got, ok, c.want)
		}
	}
}
