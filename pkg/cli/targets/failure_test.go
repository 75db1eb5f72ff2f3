package targets

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pi-key-tools/pkg/cli"
	"pi-key-tools/pkg/connect"
	"pi-key-tools/pkg/diagnose"
	"pi-key-tools/pkg/record"
	"pi-key-tools/pkg/sshtest"
)

// ours are the goroutines that are at work on a target: a connection that is not
// closed has one that reads from it.
func ours() (stacks []string) {
	var b bytes.Buffer
	pprof.Lookup("goroutine").WriteTo(&b, 2)
	for stack := range strings.SplitSeq(b.String(), "\n\n") {
		if regexp.MustCompile(`pi-key-tools/pkg/(session|connect|diagnose|fleet)\.`).MatchString(stack) {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// What hangs, wherever it does, costs its own time and leaves nothing behind,
// whether that time ends or the run is interrupted.
func TestNothingIsLeftBehind(t *testing.T) {
	ways := []sshtest.Hostile{sshtest.Silent, sshtest.ClosesAtOnce, sshtest.Drips, sshtest.GarbageAfterVersion, sshtest.HangsInKex,
		sshtest.ClosesAfterKex, sshtest.HangsInAuth, sshtest.BannerFloods, sshtest.ExecHangs, sshtest.ExecFloods}
	var list strings.Builder
	targets := 1
	list.WriteString("pi@127.0.0.1:1\n")
	for _, way := range ways {
		server := sshtest.StartHostile(t, way)
		for _, form := range []string{"%s", "pi@%s", "ssh://pi@%s", "anna@%s"} {
			fmt.Fprintf(&list, form+"\n", server.Addr)
			targets++
		}
	}
	for _, interrupted := range []bool{false, true} {
		timeout := "500ms"
		if interrupted {
			timeout = "1m"
		}
		c := newCommand(t, nil, "-q", "-j16", "--timeout", timeout, "-o", "StrictHostKeyChecking=no", "--hosts", file(t, list.String()))
		if err := os.Mkdir(filepath.Join(c.Getenv("HOME"), ".ssh"), 0o700); err != nil {
			t.Fatal(err)
		}
		sshtest.NewKey(t, filepath.Join(c.Getenv("HOME"), ".ssh"), "ed25519")
		ctx, cancel := context.WithCancelCause(t.Context())
		if interrupted {
			time.AfterFunc(300*time.Millisecond, func() {
				if len(ours()) == 0 {
					t.Error("nothing is found while all is under way")
				}
				cancel(cli.SignalError{Signal: syscall.SIGINT})
			})
		}
		began := time.Now()
		err := c.within(ctx, func(ctx context.Context, host *connect.Host) []record.Record {
			keys := host.Keys(ctx)
			client, rep, err := host.Login(ctx, connect.Plan{Keys: keys.Offers()})
			if err != nil {
				return []record.Record{diagnose.Login(ctx, host, keys, rep, err)}
			}
			defer client.Close()
			if _, _, _, err := client.Run(ctx, "true"); err != nil {
				return []record.Record{diagnose.Ended(ctx, "a command", err)}
			}
			return in()
		})
		if took := time.Since(began); err != nil || took > 20*time.Second {
			t.Errorf("%v after %v", err, took)
		}
		got := map[string]int{}
		for _, o := range c.outcomes() {
			f := strings.Split(o, " ")
			got[f[0]]++
			if want := []string{"too-slow", "timeout", "connection-dropped", "connection-refused", "key-refused", "not-ssh", "session-failed"}; f[1] != "fail" ||
				!interrupted && !slices.Contains(want, f[2]) || interrupted && !slices.Contains(append(want, "interrupted"), f[2]) {
				t.Errorf("%s", o)
			}
		}
		if len(got) != targets || len(c.outcomes()) != targets {
			t.Errorf("%d targets with %d records, want one for each of %d", len(got), len(c.outcomes()), targets)
		}
		left := ours()
		for i := 0; i < 300 && len(left) > 0; i++ {
			time.Sleep(10 * time.Millisecond)
			left = ours()
		}
		if len(left) > 0 {
			t.Errorf("interrupted %v: %d goroutines are left:\n%s", interrupted, len(left), left[0])
		}
		cancel(nil)
	}
}
