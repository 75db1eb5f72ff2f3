// Measure runs commands in turns and prints what each took.
//
//	measure [-n ROUNDS] [-before COMMAND] NAME=COMMAND ...
//
// The commands are for sh. Each round runs every one of them once, A B A B, so
// that what else the machine does falls on all alike; COMMAND of -before runs
// ahead of each and is not counted. For each it prints, on a line of its own
// and separated by TABs, NAME, the median of the milliseconds that passed, and
// the median of those that its process and all that it waited for kept a
// processor busy. A command that fails ends it with status 1 and its output.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

func main() {
	rounds := flag.Int("n", 11, "how many `rounds`")
	before := flag.String("before", "", "the `command` that runs ahead of each")
	flag.Parse()
	if flag.NArg() == 0 || *rounds < 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := measure(*rounds, *before, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func measure(rounds int, before string, commands []string) error {
	wall, busy := make([][]time.Duration, len(commands)), make([][]time.Duration, len(commands))
	for range rounds {
		for i, c := range commands {
			if before != "" {
				if _, _, err := run(before); err != nil {
					return err
				}
			}
			_, command, ok := strings.Cut(c, "=")
			if !ok {
				return fmt.Errorf("%q is not NAME=COMMAND", c)
			}
			w, b, err := run(command)
			if err != nil {
				return err
			}
			wall[i], busy[i] = append(wall[i], w), append(busy[i], b)
		}
	}
	for i, c := range commands {
		name, _, _ := strings.Cut(c, "=")
		fmt.Printf("%s\t%.2f\t%.2f\n", name, median(wall[i]), median(busy[i]))
	}
	return nil
}

func run(command string) (wall, busy time.Duration, err error) {
	var out strings.Builder
	cmd := exec.Command("sh", "-c", command)
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err = cmd.Run()
	wall = time.Since(start)
	if err != nil {
		return 0, 0, fmt.Errorf("%s: %w\n%s", command, err, out.String())
	}
	return wall, cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), nil
}

// median is in milliseconds.
func median(d []time.Duration) float64 {
	slices.Sort(d)
	n := len(d)
	return float64(d[(n-1)/2]+d[n/2]) / 2 / float64(time.Millisecond)
}
