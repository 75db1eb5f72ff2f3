// Measure runs commands in turns and prints what each took.
//
//	measure [-n ROUNDS] [-m] [-before COMMAND] NAME=COMMAND ...
//
// The commands are for sh. Each round runs every one of them once, A B A B, so
// that what else the machine does falls on all alike; COMMAND of -before runs
// ahead of each and is not counted. For each it prints, on a line of its own
// and separated by TABs, NAME, the median of the milliseconds that passed, and
// the median of those that its process and all that it waited for kept a
// processor busy. With -m a further round, which is not timed, adds the most MB
// that its processes together had in memory (Linux; pages that they share count
// for each). A command that fails ends it with status 1 and its output.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	rounds := flag.Int("n", 11, "how many `rounds`")
	memory := flag.Bool("m", false, "measure the memory too")
	before := flag.String("before", "", "the `command` that runs ahead of each")
	flag.Parse()
	if flag.NArg() == 0 || *rounds < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := measure(*rounds, *memory, *before, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func measure(rounds int, memory bool, before string, commands []string) error {
	wall, busy := make([][]time.Duration, len(commands)), make([][]time.Duration, len(commands))
	peak := make([]int, len(commands))
	last := rounds
	if memory {
		last++
	}
	for round := range last {
		for i, c := range commands {
			if before != "" {
				if _, _, err := run(before, nil); err != nil {
					return err
				}
			}
			_, command, ok := strings.Cut(c, "=")
			if !ok {
				return fmt.Errorf("%q is not NAME=COMMAND", c)
			}
			var most *int
			if round == rounds {
				most = &peak[i]
			}
			w, b, err := run(command, most)
			if err != nil {
				return err
			}
			if most == nil {
				wall[i], busy[i] = append(wall[i], w), append(busy[i], b)
			}
		}
	}
	for i, c := range commands {
		name, _, _ := strings.Cut(c, "=")
		fmt.Printf("%s\t%.2f\t%.2f", name, median(wall[i]), median(busy[i]))
		if memory {
			fmt.Printf("\t%.1f", float64(peak[i])/1e6)
		}
		fmt.Println()
	}
	return nil
}

// run runs a command, and looks at its memory if that is asked for.
func run(command string, most *int) (wall, busy time.Duration, err error) {
	var out strings.Builder
	cmd := exec.Command("sh", "-c", command)
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	if most != nil {
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				*most = max(*most, inMemory(cmd.Process.Pid))
				select {
				case <-stop:
					return
				case <-time.After(2 * time.Millisecond):
				}
			}
		}()
		defer func() { close(stop); <-stopped }()
	}
	err = cmd.Wait()
	wall = time.Since(start)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", command, err, out.String())
	}
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// inMemory is how many bytes a process and its descendants have there: proc(5)
// statm and children. Those that have ended have none.
func inMemory(pid int) int {
	dir := fmt.Sprintf("/proc/%d", pid)
	statm, _ := os.ReadFile(dir + "/statm")
	fields := strings.Fields(string(statm))
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.Atoi(fields[1])
	sum := pages * os.Getpagesize()
	lists, _ := filepath.Glob(dir + "/task/*/children")
	for _, list := range lists {
		children, _ := os.ReadFile(list)
		for child := range strings.FieldsSeq(string(children)) {
			n, _ := strconv.Atoi(child)
			sum += inMemory(n)
		}
	}
	return sum
}

// median is in milliseconds.
func median(d []time.Duration) float64 {
	slices.Sort(d)
	n := len(d)
	return float64(d[(n-1)/2]+d[n/2]) / 2 / float64(time.Millisecond)
}
