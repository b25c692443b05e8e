/** Too many want too much of a gateway; who asks again later may get it. */
export class BusyError extends Error {}
