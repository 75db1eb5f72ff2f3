//go:build unix

package cmd_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"pi-key-tools/pkg/hostfs"
	"pi-key-tools/pkg/sshtest"
)

// resumed is the example of pi-key-tools(7).
const (
	begun   = `pikeycopy --hosts all --password-file pw | tee -i log`
	resumed = `awk -F'\t' '$2 != "ok" && $2 != "done"' log | pikeycopy --hosts - --password-file pw`
)

// A run that is interrupted again and again, at wherever it is by then, goes on
// with what is left, until every key is there once and proven.
func TestResume(t *testing.T) {
	t.Parallel()
	if page := readFile(t, "man/pi-key-tools.7"); !strings.Contains(page, "\n"+begun+"\n") || !strings.Contains(page, strings.ReplaceAll(resumed, `\`, `\e`)) {
		t.Error("the example of pi-key-tools(7) is another")
	}
	const password = "the one"
	var pis []*sshtest.Pi
	var known, list strings.Builder
	for range 9 {
		pi := sshtest.StartPi(t, sshtest.PiConfig{Password: password, Latency: 20 * time.Millisecond})
		pis = append(pis, pi)
		known.WriteString(pi.KnownHosts())
		list.WriteString("pi@" + pi.Addr + " # of the kitchen\n")
	}
	me := newTraveller(t, pis[0].Endpoint)
	me.file(".ssh/known_hosts", known.String())
	me.file("all", list.String())
	me.file("pw", password+"\n")
	me.run(0, "", "pikeygen")
	records := func() string {
		data, err := os.ReadFile(filepath.Join(me.home, "log"))
		if err != nil {
			return ""
		}
		return string(data)
	}
	// run runs a pipeline, and interrupts it, as ^C does it for all of its
	// programs, once a target has come out well and so long after that.
	run := func(pipeline string, after time.Duration) (interrupted bool, said string) {
		cmd := exec.Command("sh", "-c", strings.ReplaceAll(pipeline, "pikeycopy ", "pikeycopy -j 2 "))
		cmd.Dir, cmd.Env = me.home, append(sshtest.Env(me.home), "PATH="+binaries(t)+":"+os.Getenv("PATH"))
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		var errOut bytes.Buffer
		cmd.Stderr = &errOut
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan struct{})
		go func() {
			_ = cmd.Wait() // that of tee
			close(ended)
		}()
		for range 2000 {
			select {
			case <-ended:
				return strings.Contains(errOut.String(), "interrupted by signal"), errOut.String()
			case <-time.After(5 * time.Millisecond):
			}
			if after > 0 && strings.Contains(records(), "\tok\tlogin\t") {
				time.Sleep(after)
				_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) // it may have ended
				after = 0
			}
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-ended
		t.Fatalf("it does not end: %s%s", records(), errOut.String())
		return false, ""
	}
	well := map[string]bool{}
	pipeline, times, notBegun := begun, 0, 0
	for after := 20 * time.Millisecond; ; after += 40 * time.Millisecond {
		interrupted, said := run(pipeline, after)
		bad := map[string]bool{}
		for line := range strings.Lines(records()) {
			f := strings.Split(line, "\t")
			switch f[1] + " " + f[2] {
			case "ok login":
				well[f[0]] = true
			case "fail interrupted":
				bad[f[0]] = true
			case "done key-added", "ok key-present":
			default:
				t.Errorf("after %d interruptions: %s", times, line)
			}
		}
		notBegun += strings.Count(said, "were not begun: ")
		if n := len(well) + len(bad); n != len(pis) {
			t.Errorf("after %d interruptions, %d of %d targets are known of\n%s%s", times, n, len(pis), records(), said)
		}
		if !interrupted {
			break
		}
		times++
		if times > len(pis)+1 {
			t.Fatalf("it does not get on: %s", records())
		}
		left := filepath.Join(me.home, "left")
		if err := os.Rename(filepath.Join(me.home, "log"), left); err != nil {
			t.Fatal(err)
		}
		// The log of this one is the next one's.
		pipeline = strings.ReplaceAll(resumed, " log |", " left |") + " | tee -i log"
	}
	if times < 2 || notBegun == 0 {
		t.Errorf("interrupted %d times, with targets that were not begun %d times", times, notBegun)
	}
	if len(well) != len(pis) {
		t.Errorf("%d of %d log in", len(well), len(pis))
	}
	for _, pi := range pis {
		data, err := os.ReadFile(filepath.Join(pi.Home, ".ssh", "authorized_keys"))
		if n := bytes.Count(data, []byte("ssh-ed25519 ")); err != nil || n != 1 {
			t.Errorf("%d keys, %v: %s", n, err, data)
		}
		entries, err := os.ReadDir(filepath.Join(pi.Home, ".ssh"))
		// One that was interrupted between the new file's getting its name and the end
		// of its turn leaves that, for the next who writes.
		entries = slices.DeleteFunc(entries, func(e os.DirEntry) bool { return e.Name() == hostfs.TurnName })
		if err != nil || len(entries) != 1 {
			t.Errorf("%v is left, %v", entries, err)
		}
	}
}

// Two runs on the same targets at the same time, with a key each, hurt neither the
// keys nor the known_hosts file that they share.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	const password = "the one"
	var pis []*sshtest.Pi
	var list strings.Builder
	for range 6 {
		pi := sshtest.StartPi(t, sshtest.PiConfig{Password: password})
		pis = append(pis, pi)
		list.WriteString("pi@" + pi.Addr + "\n")
	}
	me := newTraveller(t, pis[0].Endpoint)
	me.file(".ssh/known_hosts", "")
	hosts, pw := me.file("hosts", list.String()), me.file("pw", password+"\n")
	keys := []sshtest.Key{sshtest.NewKey(t, me.home, "ed25519"), sshtest.NewKey(t, me.home, "ecdsa")}
	var all sync.WaitGroup
	for _, key := range keys {
		for range 2 { // and the same one twice
			all.Go(func() {
				records, _ := me.run(0, "", "pikeycopy", "-o", "StrictHostKeyChecking=accept-new", "-o", "HashKnownHosts=no", "-o", "IdentityFile="+key.File, "-i", key.File,
					"--password-file", pw, "--hosts", hosts)
				if n := strings.Count(records, "\tok\tlogin\t"); n != len(pis) {
					t.Errorf("%d of %d log in: %s", n, len(pis), records)
				}
			})
		}
	}
	all.Wait()
	for _, pi := range pis {
		data, err := os.ReadFile(filepath.Join(pi.Home, ".ssh", "authorized_keys"))
		if err != nil || bytes.Count(data, []byte("\n")) != len(keys) {
			t.Errorf("%v: %s", err, data)
		}
	}
	known, err := os.ReadFile(filepath.Join(me.home, ".ssh", "known_hosts"))
	if err != nil || bytes.Count(known, []byte("\n")) != len(pis) {
		t.Errorf("%v: %s", err, known)
	}
	for _, pi := range pis {
		if !bytes.Contains(known, []byte(pi.KnownHosts())) {
			t.Errorf("known_hosts has no %s", pi.KnownHosts())
		}
	}
}
