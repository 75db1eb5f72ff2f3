// Command pikeyfix makes what sshd and ssh refuse acceptable, with the least
// change. See pikeyfix(1).
package main

import (
	"os"

	"pi-key-tools/pkg/cli"
)

func main() { os.Exit(cli.Run(cli.System("pikeyfix"), run)) }
