package session

// Algorithms and ProofAlgorithms show the tests what is offered.
var Algorithms, ProofAlgorithms = algorithms, proofAlgorithms
