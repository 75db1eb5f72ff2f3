// Command pikeycheck tells whether login works without a password, and if
// not, why. See pikeycheck(1).
package main

import (
	"os"

	"pi-key-tools/pkg/cli"
)

func main() { os.Exit(cli.Run(cli.System("pikeycheck"), run)) }
