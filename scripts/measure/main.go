// Measure runs commands in turns and prints what each took.
//
//	measure [-n ROUNDS] [-t TIME] [-m] [-mean] [-before COMMAND] [-count COMMAND] NAME=COMMAND ...
//
// The commands are for sh. Each round runs every one of them once, A B A B, so
// that what else the machine does falls on all alike; COMMAND of -before runs
// ahead of each and is not counted. No further round begins that would not be
// over within TIME, by how long those before it took; one always does. For each it
// prints, on a line of its own and separated by TABs,
//
//	NAME
//	the median of the milliseconds that passed
//	the median of those that its process and all that it waited for kept a
//	processor busy
//	how many rounds there were
//	with -m, the most MB that its processes together had in memory (Linux; pages
//	that they share count for each)
//	with -count, by how much the number grew that COMMAND prints
//
// With -mean the times are means: of what takes long by chance, as a search for
// primes does, they tell the same from fewer rounds.
//
// The memory is looked at in the first round alone: to walk the tasks of a process
// that ends in a few milliseconds can double its time, if it has several. That
// takes a hundredth of a processor at most, but at the start, and so is done seldom
// where there are many processes. A command that fails ends it with status 1 and
// the end of its output.
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
	limit := flag.Duration("t", time.Hour, "the `time` that the rounds may take")
	memory := flag.Bool("m", false, "measure the memory too")
	mean := flag.Bool("mean", false, "print means of the times")
	before := flag.String("before", "", "the `command` that runs ahead of each")
	count := flag.String("count", "", "the `command` that prints a number")
	flag.Parse()
	if flag.NArg() == 0 || *rounds < 1 {
		flag.Usage()
		os.Exit(2)
	}
	middle := median
	if *mean {
		middle = average
	}
	if err := measure(*rounds, *limit, *memory, middle, *before, *count, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func measure(rounds int, limit time.Duration, memory bool, middle func([]time.Duration) float64, before, count string, commands []string) error {
	type one struct {
		name, command string
		wall, busy    []time.Duration
		peak, seen    int
	}
	all := make([]one, len(commands))
	for i, c := range commands {
		var ok bool
		if all[i].name, all[i].command, ok = strings.Cut(c, "="); !ok {
			return fmt.Errorf("%q is not NAME=COMMAND", c)
		}
	}
	done := 0
	for start := time.Now(); done < rounds && (done == 0 || time.Since(start)/time.Duration(done)*time.Duration(done+1) <= limit); done++ {
		for i := range all {
			c := &all[i]
			if before != "" {
				if _, _, err := run(before, nil); err != nil {
					return err
				}
			}
			had, err := number(count)
			if err != nil {
				return err
			}
			var peak *int
			if memory && done == 0 {
				peak = &c.peak
			}
			w, b, err := run(c.command, peak)
			if err != nil {
				return err
			}
			has, err := number(count)
			if err != nil {
				return err
			}
			c.wall, c.busy, c.seen = append(c.wall, w), append(c.busy, b), has-had
		}
	}
	for _, c := range all {
		fmt.Printf("%s\t%.2f\t%.2f\t%d", c.name, middle(c.wall), middle(c.busy), done)
		if memory {
			fmt.Printf("\t%.1f", float64(c.peak)/1e6)
		}
		if count != "" {
			fmt.Printf("\t%d", c.seen)
		}
		fmt.Println()
	}
	return nil
}

// number is what a command prints; 0 if there is none.
func number(command string) (int, error) {
	if command == "" {
		return 0, nil
	}
	out, err := exec.Command("sh", "-c", command).Output()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", command, err)
	}
	return strconv.Atoi(strings.TrimSpace(string(out)))
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
				looked := time.Now()
				*most = max(*most, inMemory(cmd.Process.Pid))
				select {
				case <-stop:
					return
				case <-time.After(max(2*time.Millisecond, min(100*time.Since(looked), time.Since(start)/10))):
				}
			}
		}()
		defer func() { close(stop); <-stopped }()
	}
	err = cmd.Wait()
	wall = time.Since(start)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", command, err, out.String()[max(0, out.Len()-1000):])
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

// average is in milliseconds.
func average(d []time.Duration) float64 {
	var sum time.Duration
	for _, one := range d {
		sum += one
	}
	return float64(sum) / float64(len(d)) / float64(time.Millisecond)
}

// median is in milliseconds.
func median(d []time.Duration) float64 {
	slices.Sort(d)
	n := len(d)
	return float64(d[(n-1)/2]+d[n/2]) / 2 / float64(time.Millisecond)
}
