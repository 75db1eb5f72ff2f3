package session

// Algorithms shows the tests what is offered.
var Algorithms = algorithms
