package sshtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is a server program that runs until the test ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
}

// WriteFile is os.WriteFile for a file to be executed. Another test may be
// starting a process, which until its exec holds all our open files, and the
// kernel executes nothing that is open for writing (ETXTBSY).
func WriteFile(name string, data []byte, mode os.FileMode) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	return os.WriteFile(name, data, mode)
}

// startProcess starts cmd in a process group of its own and has it stopped,
// with all its descendants, when the test ends.
func startProcess(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", cmd.Path, err)
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		defer close(p.done)
		cmd.Wait() // its status tells nothing: we are who ends it
	}()
	t.Cleanup(p.stop)
	return p
}

// ended reports whether the process is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// stop ends the process and what it started. sshd gives each connection a
// session of its own, so the group alone is not enough.
func (p *process) stop() {
	if p.ended() {
		return
	}
	pids := descendants(p.cmd.Process.Pid)
	end(pids)
	if !p.ended() {
		p.cmd.Process.Kill()
	}
	<-p.done
}

// end asks processes to end, and kills those that have not after two seconds.
func end(pids []int) {
	for _, sig := range []os.Signal{terminate, os.Kill} {
		for _, pid := range pids {
			if p, err := os.FindProcess(pid); err == nil {
				p.Signal(sig)
			}
		}
		for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
			if !slices.ContainsFunc(pids, alive) {
				return
			}
		}
	}
}

// proc returns the fields of /proc/PID/stat from the third on: state, parent,
// group …. It is nil for a process that is not there, and on a system without
// /proc, where process groups must do.
func proc(pid int) []string {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
}

func alive(pid int) bool {
	f := proc(pid)
	return len(f) > 0 && f[0] != "Z"
}

// pids returns all processes for which keep holds.
func pids(keep func(pid int) bool) []int {
	entries, _ := os.ReadDir("/proc")
	var found []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && keep(pid) {
			found = append(found, pid)
		}
	}
	return found
}

// descendants returns the process, its children, and theirs.
func descendants(root int) []int {
	parents := make(map[int]int)
	pids(func(pid int) bool {
		if f := proc(pid); len(f) > 1 {
			parents[pid], _ = strconv.Atoi(f[1])
		}
		return false
	})
	tree := []int{root}
	for i := 0; i < len(tree); i++ {
		for pid, parent := range parents {
			if parent == tree[i] {
				tree = append(tree, pid)
			}
		}
	}
	return tree
}

// processesOf returns the processes of a user, by real user id.
func processesOf(uid int) []int {
	return pids(func(pid int) bool {
		data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
		if err != nil {
			return false
		}
		_, rest, _ := strings.Cut(string(data), "\nUid:")
		f := strings.Fields(rest)
		return len(f) > 0 && f[0] == strconv.Itoa(uid) && alive(pid)
	})
}
